package econ

import (
	"cmp"
	"slices"
)

// OperatingPoint is what serving batch sequences at once costs and how long
// each of them waits for a token.
type OperatingPoint struct {
	Batch   int     // sequences evaluated together, >= 1
	USDPerM float64 // per million tokens, >= 0
	TPOTMs  float64 // time per output token of each sequence, > 0
}

func checkPoints(points []OperatingPoint) error {
	errs := []error{atLeast(1, "points", int64(len(points)))}
	for _, p := range points {
		errs = append(errs, atLeast(1, "Batch", int64(p.Batch)), nonNegative("USDPerM", p.USDPerM), positive("TPOTMs", p.TPOTMs))
	}
	return all(errs...)
}

// Knee returns the point of the smallest batch whose price is within tolerance
// of the lowest:
//
//	min { batch : usd(batch) <= (1 + tolerance) * min usd }
//
// with at least one point and tolerance >= 0. What is beyond it costs latency
// and saves next to nothing.
func Knee(points []OperatingPoint, tolerance float64) (OperatingPoint, error) {
	if err := all(checkPoints(points), nonNegative("tolerance", tolerance)); err != nil {
		return OperatingPoint{}, err
	}
	cheapest := slices.MinFunc(points, func(x, y OperatingPoint) int { return cmp.Compare(x.USDPerM, y.USDPerM) })
	var knee *OperatingPoint
	for i := range points {
		p := &points[i]
		if p.USDPerM <= (1+tolerance)*cheapest.USDPerM && (knee == nil || p.Batch < knee.Batch) {
			knee = p
		}
	}
	return *knee, nil
}

// CheapestWithin returns the cheapest point whose time per output token is at
// most limitTPOTMs > 0, of equally cheap ones that of the smaller batch; ok is
// false when there is none. There must be at least one point.
func CheapestWithin(points []OperatingPoint, limitTPOTMs float64) (best OperatingPoint, ok bool, err error) {
	if err := all(checkPoints(points), positive("limitTPOTMs", limitTPOTMs)); err != nil {
		return best, false, err
	}
	for _, p := range points {
		if p.TPOTMs <= limitTPOTMs && (!ok || cmp.Or(cmp.Compare(p.USDPerM, best.USDPerM), cmp.Compare(p.Batch, best.Batch)) < 0) {
			best, ok = p, true
		}
	}
	return best, ok, nil
}

// Pareto returns the points that no other beats: no other is both as cheap and
// as quick, and better in one of the two. They are in order of their time per
// output token, so that their prices fall. There must be at least one point; of
// points that are alike in both, the one of the smallest batch stays.
func Pareto(points []OperatingPoint) ([]OperatingPoint, error) {
	if err := checkPoints(points); err != nil {
		return nil, err
	}
	byTime := slices.SortedFunc(slices.Values(points), func(x, y OperatingPoint) int {
		return cmp.Or(cmp.Compare(x.TPOTMs, y.TPOTMs), cmp.Compare(x.USDPerM, y.USDPerM), cmp.Compare(x.Batch, y.Batch))
	})
	front := byTime[:1:1]
	for _, p := range byTime[1:] {
		if p.USDPerM < front[len(front)-1].USDPerM {
			front = append(front, p)
		}
	}
	return front, nil
}
