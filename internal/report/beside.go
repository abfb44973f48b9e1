package report

import (
	"fmt"

	"github.com/phasebench/phasebench/internal/analyze"
	"github.com/phasebench/phasebench/internal/compare"
)

// alone is the table of other systems when none were asked for.
func alone() *analyze.Table {
	return &analyze.Table{Name: compare.SystemsTable, Title: "Side by side with other systems", Missing: "needs other runs or imported ones (bench analyze --beside)"}
}

// beside shows what other systems made of the work of the run in dir; nil when
// none were asked for.
func beside(dir string, opts Options, how analyze.Options, a *analyze.Analysis) (*analyze.Table, error) {
	if len(opts.Beside) == 0 {
		return nil, nil
	}
	base := opts.Base
	if base == "" {
		if len(a.Rankings) == 0 {
			return nil, fmt.Errorf("side by side with what? Nothing has a price, so that there is no cheapest backend: name one with --base")
		}
		base = a.Rankings[0].Entries[0].Groups[0].Rows[0].Backend
	}
	own, err := compare.Read(dir)
	if err != nil {
		return nil, err
	}
	var others []*compare.Run
	for _, path := range opts.Beside {
		run, err := compare.Read(path)
		if err != nil {
			return nil, err
		}
		others = append(others, run)
	}
	return compare.Systems(own, base, others, compare.Options{Analyze: how, AllowMixed: opts.AllowMixed})
}
