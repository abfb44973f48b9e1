package plots

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"gonum.org/v1/plot"

	"github.com/phasebench/phasebench/internal/analyze"
)

// format writes the value of a tick or a bar.
type format func(v float64) string

// plain writes a number as exact does, without zeros at the end of a fraction.
func plain(v float64) string {
	s := exact(v)
	if strings.Contains(s, ".") {
		s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	}
	return s
}

// exact writes a number with three significant digits or all of its integer
// ones, without an exponent, with separators of thousands.
func exact(v float64) string {
	digits := 0
	if a := math.Abs(v); a > 0 && a < 100 {
		digits = max(0, 2-int(math.Floor(math.Log10(a))))
	}
	whole, frac, _ := strings.Cut(strconv.FormatFloat(v, 'f', digits, 64), ".")
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
		v := i*step + 0 // no negative zero
		out = append(out, plot.Tick{Value: v, Label: t.format(v)})
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

// logarithmic are ticks of a log axis, at most so many with labels: at 1, 2 and 5
// times powers of ten, or at powers, or at every second and so on; over less
// than one decade those of linear.
type logarithmic struct {
	most   int
	format format
}

// Ticks returns labelled ticks and bare ones inside the range, which is above 0.
func (t logarithmic) Ticks(lo, hi float64) []plot.Tick {
	if hi/lo < 10 {
		return linear{min(6, t.most), t.format}.Ticks(lo, hi)
	}
	for _, label := range []func(k, e int) bool{
		func(k, e int) bool { return k == 1 || k == 2 || k == 5 },
		func(k, e int) bool { return k == 1 },
		func(k, e int) bool { return k == 1 && e%2 == 0 },
	} {
		if ticks, labels := t.ticks(lo, hi, label); labels <= t.most {
			return ticks
		}
	}
	ticks, _ := t.ticks(lo, hi, func(k, e int) bool { return k == 1 && e%3 == 0 })
	return ticks
}

// ticks returns the ticks at k times ten to the e, with a label where asked, and
// how many have one.
func (t logarithmic) ticks(lo, hi float64, label func(k, e int) bool) (out []plot.Tick, labels int) {
	for e := int(math.Floor(math.Log10(lo))); float64(e) <= math.Log10(hi); e++ {
		for k := 1; k < 10; k++ {
			v := float64(k) * math.Pow10(e)
			if v < lo*(1-1e-9) || v > hi*(1+1e-9) {
				continue
			}
			tick := plot.Tick{Value: v}
			if label(k, e) {
				tick.Label = t.format(v)
				labels++
			}
			out = append(out, tick)
		}
	}
	return out, labels
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

// extent is the range of values that have intervals.
type extent struct {
	values, ends span
	known        bool // any interval
}

// add widens the extent to a value and its interval, where that is known.
func (e *extent) add(value float64, lo, hi *float64) {
	e.values.add(&value)
	e.ends.add(&value, lo, hi)
	e.known = e.known || hi != nil
}

// within returns the range of the intervals as far as they reach to k times the
// largest value or a k-th of the smallest, since one very wide interval would
// leave no room for the values. All values are above 0.
func (e extent) within(k float64) (span, reach) {
	s := span{max(e.ends.lo, e.values.lo/k), min(e.ends.hi, e.values.hi*k), e.values.some}
	return s, reach{known: e.known, cut: s.lo > e.ends.lo || s.hi < e.ends.hi}
}

// reach is what is to be said of the intervals in a picture.
type reach struct{ known, cut bool }

func (r reach) and(other reach) reach { return reach{r.known || other.known, r.cut || other.cut} }

func (r reach) String() string {
	switch {
	case !r.known:
		return "Too few rows for intervals."
	case r.cut:
		return fmt.Sprintf("%.0f\u00a0%% intervals; those without a cap reach further.", 100*analyze.Confidence)
	}
	return fmt.Sprintf("%.0f\u00a0%% intervals.", 100*analyze.Confidence)
}
