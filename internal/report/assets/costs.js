// What tokens cost, by the formulas of package econ. Rates are in dollars an
// hour and a kilowatt-hour; an energy price of null leaves energy out. Values
// with an unknown half-width have half: null.
"use strict";

// phaseCost is what a million tokens of one phase cost: econ.Phase.CostPerM for
// the amounts, econ.PhaseInterval.USDPerM for the half-width.
function phaseCost(phase, usdPerHour, usdPerKWh) {
  const s = phase.s_per_tok, perJ = usdPerKWh === null ? 0 : 1e6 * usdPerKWh / 3.6e6;
  const power = usdPerKWh === null ? null : phase.power_w;
  const joules = usdPerKWh === null ? null : phase.j_per_tok;
  const out = { infra: 1e6 / (3600 / s.value) * usdPerHour, energy: null, half: null };
  let rate = 1e6 * usdPerHour / 3600, dRate = 0, own = 0, known = s.half !== null;
  if (power !== null || joules !== null) out.energy = 0;
  if (power !== null) {
    out.energy += perJ * power.value * s.value;
    rate += perJ * power.value;
    dRate = perJ * power.half;
    known = known && power.half !== null;
  }
  if (joules !== null) {
    out.energy += perJ * joules.value;
    own = perJ * joules.half;
    known = known && joules.half !== null;
  }
  if (known) out.half = Math.hypot(rate * s.half, s.value * dRate, own);
  return out;
}

// measured reports whether the energy of both phases is known: one alone would
// be half a total.
function measured(config) {
  const has = (p) => p.power_w !== null || p.j_per_tok !== null;
  return has(config.prefill) && has(config.decode);
}

// blendCost is what a million tokens of a mix cost: econ.Blend.CostPerM and
// econ.Blend.MixInterval. Input is the share of prompt tokens.
function blendCost(config, input, usdPerHour, usdPerKWh) {
  if (!measured(config)) usdPerKWh = null;
  const p = phaseCost(config.prefill, usdPerHour, usdPerKWh);
  const d = phaseCost(config.decode, usdPerHour, usdPerKWh);
  const output = 1 - input;
  const out = { prefill: p, decode: d, infra: input * p.infra + output * d.infra, energy: null, half: null };
  if (usdPerKWh !== null) out.energy = input * p.energy + output * d.energy;
  out.total = out.infra + (out.energy === null ? 0 : out.energy);
  if (p.half !== null && d.half !== null) out.half = Math.hypot(input * p.half, output * d.half);
  return out;
}

// rankCosts orders configurations by the cost of a mix, cheapest first. A rate
// of null is each device's own, which leaves out devices without one. Energy
// counts when all that decode with the cache have it; those that do not are
// then left out, as in the ranking of the report.
function rankCosts(configs, input, usdPerHour, usdPerKWh) {
  let list = configs.filter((c) => usdPerHour !== null || c.own !== null);
  const needed = list.filter((c) => !c.baseline);
  const byTotal = usdPerKWh !== null && (needed.length ? needed : list).every(measured);
  if (byTotal) list = list.filter(measured);
  const entries = list.map((c) => {
    const rate = usdPerHour === null ? c.own.usd_per_hour : usdPerHour;
    return { config: c, rate: rate, cost: blendCost(c, input, rate, byTotal ? usdPerKWh : null) };
  });
  entries.sort((a, b) => a.cost.total - b.cost.total);
  return { byTotal: byTotal, entries: entries };
}
