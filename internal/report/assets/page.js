"use strict";
(function () {
  const byId = (id) => document.getElementById(id);
  const asked = new URLSearchParams(location.hash.includes("=") ? location.hash.slice(1) : "");

  // Theme: the system's, until the button says otherwise.
  const root = document.documentElement;
  const setTheme = (theme) => { root.dataset.theme = theme; };
  if (asked.get("theme")) setTheme(asked.get("theme"));
  byId("theme").addEventListener("click", () => {
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    setTheme(dark ? "light" : "dark");
  });

  // Sorting: a click on a column's head, again for the other way. Absent values
  // stay last.
  for (const head of document.querySelectorAll("table.sortable th")) {
    head.tabIndex = 0;
    const sort = () => {
      const table = head.closest("table"), body = table.tBodies[0], i = head.cellIndex;
      const up = head.getAttribute("aria-sort") !== "ascending";
      for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      const key = (row) => row.cells[i].dataset.v ?? row.cells[i].textContent;
      const compare = (a, b) => {
        const x = key(a), y = key(b);
        if (x === "" || y === "") return (x === "") - (y === "");
        const order = isNaN(x) || isNaN(y) ? x.localeCompare(y) : x - y;
        return up ? order : -order;
      };
      body.append(...[...body.rows].sort(compare));
    };
    head.addEventListener("click", sort);
    head.addEventListener("keydown", (e) => { if (e.key === "Enter" || e.key === " ") { e.preventDefault(); sort(); } });
  }

  // Contents: the section in view is marked.
  const links = new Map([...document.querySelectorAll("nav a")].map((a) => [a.hash.slice(1), a]));
  const inView = new IntersectionObserver((entries) => {
    for (const e of entries) if (e.isIntersecting) {
      for (const a of links.values()) a.removeAttribute("aria-current");
      links.get(e.target.id)?.setAttribute("aria-current", "true");
    }
  }, { rootMargin: "0px 0px -80% 0px" });
  for (const s of document.querySelectorAll("main section")) inView.observe(s);

  // On a narrow screen the contents start closed.
  if (matchMedia("(max-width: 860px)").matches) byId("contents").open = false;

  // Printing opens what is folded.
  addEventListener("beforeprint", () => { for (const d of document.querySelectorAll("main details")) d.open = true; });

  // Prices: what the measured speeds cost at other rates, blends and prices of
  // electricity, by the formulas of costs.js.
  const box = byId("prices");
  if (!box) return;
  const data = JSON.parse(byId("price-data").textContent);
  const tier = byId("tier"), rate = byId("rate"), blend = byId("blend"), input = byId("input"), kwh = byId("kwh");
  const option = (select, value, text) => select.append(new Option(text, value));
  if (data.configs.some((c) => c.own)) option(tier, "own", "each device's own rate");
  for (const t of data.tiers) option(tier, t.name, t.name + ", $" + t.usd_per_hour + "/h");
  option(tier, "custom", "another rate");
  for (const b of data.blends) option(blend, b.name, b.name + ", " + Math.round(100 * b.input) + " % input");
  option(blend, "custom", "another mix");
  blend.value = data.blend;
  if (data.usd_per_kwh !== null) kwh.value = data.usd_per_kwh;
  for (const [name, control] of [["tier", tier], ["rate", rate], ["blend", blend], ["input", input], ["kwh", kwh]])
    if (asked.has(name)) control.value = asked.get(name);

  const digits = (v, n) => v === null ? "–" : v === 0 ? "0" : Math.abs(v) >= 1e-7 ? v.toFixed(Math.max(0, Math.min(20, n - 1 - Math.floor(Math.log10(Math.abs(v)))))) : v.toExponential(n - 1);
  const known = (control, lo, hi) => { const v = control.valueAsNumber; return v >= lo && v <= hi ? v : null; };

  function update() {
    rate.parentElement.hidden = tier.value !== "custom";
    input.parentElement.hidden = blend.value !== "custom";
    const named = data.tiers.find((t) => t.name === tier.value);
    const usdPerHour = tier.value === "own" ? null : named ? named.usd_per_hour : known(rate, 0, Infinity);
    const mix = data.blends.find((b) => b.name === blend.value);
    const share = mix ? mix.input : known(input, 0, 100) === null ? null : known(input, 0, 100) / 100;
    const body = byId("price-rows"), note = byId("price-note");
    body.replaceChildren();
    if (share === null || (usdPerHour === null && tier.value !== "own")) {
      note.textContent = "Give a rate of 0 or more, and a share of 0 to 100 %.";
      return;
    }
    const energyPrice = known(kwh, 0, Infinity);
    const ranking = rankCosts(data.configs, share, usdPerHour, energyPrice);
    const best = ranking.entries.length ? ranking.entries[0].cost : null;
    ranking.entries.forEach((e, i) => {
      const c = e.cost, row = body.insertRow();
      const cells = [[i + 1], [e.config.name], [c.total, 4], [c.half, 2], [best.total > 0 ? c.total / best.total : null, 3], [c.prefill.infra + (c.prefill.energy ?? 0), 4], [c.decode.infra + (c.decode.energy ?? 0), 4], [c.energy, 3]];
      cells.forEach(([v, n], j) => {
        const cell = row.insertCell();
        if (j !== 1) cell.className = "num";
        cell.textContent = n ? digits(v, n) : v;
        cell.dataset.v = v ?? "";
      });
      if (i > 0 && c.half !== null && best.half !== null && c.total - c.half <= best.total + best.half) row.cells[1].append(" ~");
    });
    const words = [];
    if (usdPerHour === null) words.push("Own rates: of the devices that were measured.");
    else words.push("Scenario, unless $" + usdPerHour + "/h is what the measured machine costs: the measured speed at that rate says nothing about other hardware.");
    words.push(ranking.byTotal ? "Machine time and energy." : "Machine time only: " + (energyPrice === null ? "electricity has no price." : "the energy of both phases is not known for all."));
    const out = data.configs.length - ranking.entries.length;
    if (out > 0) words.push(out + " of " + data.configs.length + " left out: " + (usdPerHour === null ? "no own rate or no energy." : "no energy."));
    if (data.synthetic) words.push("Synthetic weights: energy may differ from that of real ones.");
    words.push("~: not told apart from the cheapest.");
    note.textContent = words.join(" ");
    const hash = new URLSearchParams({ tier: tier.value, blend: blend.value, kwh: kwh.value });
    if (tier.value === "custom") hash.set("rate", rate.value);
    if (blend.value === "custom") hash.set("input", input.value);
    byId("price-link").href = "#" + hash;
  }
  box.hidden = false;
  box.addEventListener("input", update);
  update();
})();
