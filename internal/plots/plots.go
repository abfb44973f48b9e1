// Package plots draws what an analysis says as SVG and PNG. Colours, markers and
// order of models and backends are the same in every plot. What is drawn depends
// on the analysis alone, so that the same rows give the same files. A plot
// without its data is not drawn; it says why.
package plots

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/phasebench/phasebench/internal/analyze"
)

// Plot is one picture, or why there is none.
type Plot struct {
	Name    string // file name without extension
	Title   string
	Caption string // a sentence or two: what is shown and what it rests on
	Skipped string // why there is no picture; "" when there is

	SVG []byte // for a page that holds it: no XML header, with a title to read out
	PNG []byte // of 1296 pixels of width

	// Where Write put them; "" when there is no picture.
	SVGPath, PNGPath string
}

// Extra is what plots need besides the analysis. The zero value leaves those
// plots out.
type Extra struct {
	Power []PowerSample // of a run, see ReadPower
	RunID string        // of that run; empty when the rows are of no other
}

// Draw returns every plot of an analysis, those without data too, in the order
// in which a report shows them.
func Draw(a *analyze.Analysis, extra Extra) ([]Plot, error) {
	plots, figures, err := compose(newInput(a, extra))
	for i := range plots {
		if p := &plots[i]; figures[i] != nil && err == nil {
			if p.SVG, p.PNG, err = figures[i].render(); err != nil {
				err = fmt.Errorf("plot %s: %w", p.Name, err)
			}
		}
	}
	return plots, err
}

// compose returns every plot with its figure, which is still to be rendered; nil
// for a plot that is skipped.
func compose(in *input) (plots []Plot, figures []*figure, err error) {
	for _, d := range definitions() {
		parts, err := d.draw(in)
		if why, skipped := err.(noData); skipped {
			plots, figures = append(plots, Plot{Name: d.name, Title: d.title, Skipped: string(why)}), append(figures, nil)
			continue
		}
		if err != nil {
			return nil, nil, fmt.Errorf("plot %s: %w", d.name, err)
		}
		for _, f := range parts {
			p := Plot{Name: d.name, Title: d.title, Caption: f.caption}
			if f.part != "" {
				p.Name, p.Title = unused(plots, d.name+"_"+fileName(f.part)), d.title+": "+f.part
			}
			f.title = p.Title
			f.notes = append(f.notes, in.synthetic()...)
			plots, figures = append(plots, p), append(figures, f)
		}
	}
	return plots, figures, nil
}

// Write draws every plot into dir, which it makes, as NAME.svg and NAME.png,
// and returns them, also those that have no picture. Plots of an earlier
// analysis that are not drawn any more are removed.
func Write(dir string, a *analyze.Analysis, extra Extra) ([]Plot, error) {
	all, err := Draw(a, extra)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	written := map[string]bool{}
	for i := range all {
		p := &all[i]
		if p.Skipped != "" {
			continue
		}
		p.SVGPath, p.PNGPath = filepath.Join(dir, p.Name+".svg"), filepath.Join(dir, p.Name+".png")
		for path, content := range map[string][]byte{p.SVGPath: standalone(p.SVG), p.PNGPath: p.PNG} {
			if err := os.WriteFile(path, content, 0o644); err != nil {
				return nil, err
			}
			written[path] = true
		}
	}
	return all, removeOthers(dir, written)
}

// removeOthers removes the plots in dir that are not among those written. Files
// that no plot has the name of stay.
func removeOthers(dir string, written map[string]bool) error {
	for _, d := range definitions() {
		for _, pattern := range []string{".svg", ".png", "_*.svg", "_*.png"} {
			named, err := filepath.Glob(filepath.Join(dir, d.name+pattern))
			if err != nil {
				return err
			}
			for _, path := range named {
				if written[path] {
					continue
				}
				if err := os.Remove(path); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// definition is one plot, or several that show one thing in parts.
type definition struct {
	name, title string
	draw        func(in *input) ([]*figure, error) // noData when there is nothing to draw
}

// noData says what a plot lacks.
type noData string

func (e noData) Error() string { return string(e) }

func definitions() []definition {
	return []definition{
		{"phase_cost_bar", "Cost of prefill and decode", phaseCost},
		{"decode_tok_s", "Decode throughput", decodeRate},
		{"latency_cdf", "Time to first token and between tokens", latencyCDF},
		{"step_timeline", "Time of each decode step", stepTimeline},
		{"cost_tier_comparison", "Cost of the blend at every tier", tierComparison},
		{"break_even", "Buying against renting, in cash", breakEven},
		{"batches", "Cost, latency, energy and use of the device against batch", batches},
		{"kv_types", "Speed of other types of the KV cache against their memory", cacheTypes},
		{"quality_cost", "Cost against perplexity", qualityCost},
		{"kv_memory_scaling", "KV cache against context length", kvScaling},
		{"kv_crossover", "Where the KV cache outgrows the weights", kvCrossover},
		{"cached_vs_uncached", "Decode with and without the KV cache", cachedVsUncached},
		{"energy_heatmap", "Energy of a token", energyHeatmap},
		{"roofline", "Decode and prefill against what the device can do", roofline},
		{"power_timeline", "Power over some seconds of the run", powerTimeline},
	}
}

var notInName = regexp.MustCompile(`[^A-Za-z0-9._-]+`)

// maxNameBytes keeps names of files, with what is put around them, below the 255
// bytes that file systems allow.
const maxNameBytes = 100

// fileName returns a name of files for any text.
func fileName(s string) string {
	s = notInName.ReplaceAllString(s, "-")
	return s[:min(len(s), maxNameBytes)]
}

// unused returns the name, or with a number behind it when a plot has it.
func unused(plots []Plot, name string) string {
	free := name
	for n := 2; slices.ContainsFunc(plots, func(p Plot) bool { return strings.EqualFold(p.Name, free) }); n++ {
		free = fmt.Sprintf("%s-%d", name, n)
	}
	return free
}
