package plots

import (
	"math"
	"strconv"
	"strings"

	"gonum.org/v1/plot"
)

// format writes the value of a tick or a bar.
type format func(v float64) string

// plain writes a number with up to three significant digits and no exponent,
// with a thousands separator.
func plain(v float64) string {
	digits := 0
	if a := math.Abs(v); a > 0 && a < 100 {
		digits = max(0, 2-int(math.Floor(math.Log10(a))))
	}
	s := strconv.FormatFloat(v, 'f', digits, 64)
	if strings.Contains(s, ".") {
		s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	}
	whole, frac, _ := strings.Cut(s, ".")
	for i := len(whole) - 3; i > 0 && whole[i-1] != '-'; i -= 3 {
		whole = whole[:i] + "," + whole[i:]
	}
	if frac != "" {
		return whole + "." + frac
	}
	return whole
}

// scaled writes a number with a decimal prefix: 1500 as 1.5k.
func scaled(v float64) string {
	for _, p := range []struct {
		of   float64
		name string
	}{{1e12, "T"}, {1e9, "G"}, {1e6, "M"}, {1e3, "k"}} {
		if math.Abs(v) >= p.of {
			return plain(v/p.of) + p.name
		}
	}
	return plain(v)
}

// bytesText writes bytes with a decimal prefix: 1500 as 1.5 kB.
func bytesText(v float64) string {
	s := scaled(v)
	if i := len(s) - 1; s[i] > '9' {
		return s[:i] + " " + s[i:] + "B"
	}
	return s + " B"
}

// dollars writes dollars.
func dollars(v float64) string { return "$" + scaled(v) }

// linear are ticks at multiples of 1, 2 or 5, about so many.
type linear struct {
	about  int
	format format
}

// Ticks returns labelled ticks inside the range.
func (t linear) Ticks(lo, hi float64) []plot.Tick {
	step := niceStep((hi - lo) / float64(t.about))
	var out []plot.Tick
	for i := math.Ceil(lo/step - 1e-9); i*step <= hi+step*1e-9; i++ {
		out = append(out, plot.Tick{Value: i * step, Label: t.format(i * step)})
	}
	return out
}

// niceStep returns the least of 1, 2 and 5 times a power of ten that is not
// below v.
func niceStep(v float64) float64 {
	power := math.Pow(10, math.Floor(math.Log10(v)))
	for _, k := range []float64{1, 2, 5} {
		if k*power >= v*(1-1e-9) {
			return k * power
		}
	}
	return 10 * power
}

// logarithmic are ticks of a log axis: at decades, with 2 and 5 labelled where
// there is room for them; over less than one decade those of linear.
type logarithmic struct{ format format }

// Ticks returns labelled ticks and bare ones inside the range, which is above 0.
func (t logarithmic) Ticks(lo, hi float64) []plot.Tick {
	decades := math.Log10(hi / lo)
	if decades < 1 {
		return linear{4, t.format}.Ticks(lo, hi)
	}
	every := max(1, int(math.Ceil(decades/7)))
	var out []plot.Tick
	for e := int(math.Floor(math.Log10(lo))); float64(e) <= math.Log10(hi); e++ {
		for k := 1; k < 10; k++ {
			v := float64(k) * math.Pow(10, float64(e))
			if v < lo*(1-1e-9) || v > hi*(1+1e-9) {
				continue
			}
			tick := plot.Tick{Value: v}
			if k == 1 && e%every == 0 || (k == 2 || k == 5) && decades < 2.5 {
				tick.Label = t.format(v)
			}
			out = append(out, tick)
		}
	}
	return out
}

// span is the range of values on an axis; the zero span is empty.
type span struct {
	lo, hi float64
	some   bool
}

// add widens the span to values, leaving out nil.
func (s *span) add(values ...*float64) {
	for _, v := range values {
		if v == nil {
			continue
		}
		if !s.some {
			s.lo, s.hi, s.some = *v, *v, true
		}
		s.lo, s.hi = min(s.lo, *v), max(s.hi, *v)
	}
}

// from0 returns the span from 0 to some way above its end.
func (s span) from0(above float64) span { return span{0, s.hi * (1 + above), true} }

// times returns a span of positive values widened by a factor at both ends.
func (s span) times(k float64) span { return span{s.lo / k, s.hi * k, true} }
