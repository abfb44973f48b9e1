package report

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/phasebench/phasebench/internal/analyze"
	"github.com/phasebench/phasebench/internal/environ"
	"github.com/phasebench/phasebench/internal/plots"
	"github.com/phasebench/phasebench/internal/pricing"
	"github.com/phasebench/phasebench/internal/record"
	"github.com/phasebench/phasebench/internal/rundir"
)

// Options say how a run directory is analysed.
type Options struct {
	PricingPath    string   // pricing file; empty for no prices but RateUSDPerHour
	Carbon         string   // carbon file or region of the built-in one; empty for its default
	Region         string   // region of the carbon file; empty for its default
	RateUSDPerHour *float64 // own rate of the devices in the rows; nil to go by the pricing file
	Blend          string   // name of a blend, or its input share; empty for the pricing file's default
	Cells          []string // IDs of the cells in the order of the plan; nil when not known
	PlannedRows    int      // rows the run was to have besides warm-ups; 0 when not known

	Beside     []string // other runs to show side by side; their work is to be the same
	Base       string   // backend of the run that others are shown as multiples of; empty for the cheapest's
	AllowMixed bool     // also beside runs of trained weights where these are random, or the other way round

	// Of a run that was merged from others; see rundir.Setup.
	RunID  string
	Parts  []rundir.Part
	Differ []string
}

// Result is what FromDir made.
type Result struct {
	Analysis *analyze.Analysis
	Files    []string // paths written
	Ranking  string   // for the terminal
}

// ConfigError is a mistake in the options or in a file they name, as opposed
// to one in the run directory.
type ConfigError struct{ Err error }

func (e *ConfigError) Error() string { return e.Err.Error() }

// Unwrap returns the mistake.
func (e *ConfigError) Unwrap() error { return e.Err }

// FromDir analyses the rows of a run directory and writes the tables, the plots
// and both reports beside them, in place of earlier ones. It only reads the
// rows, so it may be called while the run goes on. A *ConfigError means that
// nothing was written.
func FromDir(dir string, opts Options) (*Result, error) {
	a, from, err := analysis(dir, opts)
	if err != nil {
		return nil, err
	}
	files, err := Write(dir, a, from)
	if err != nil {
		return nil, err
	}
	return &Result{Analysis: a, Files: files, Ranking: Rankings(a)}, nil
}

// analysis analyses the rows of a run directory.
func analysis(dir string, opts Options) (*analyze.Analysis, Origin, error) {
	var from Origin
	how, err := opts.load()
	if err != nil {
		return nil, from, &ConfigError{err}
	}
	rows, problems, err := record.Read(filepath.Join(dir, record.File))
	if err != nil {
		return nil, from, err
	}
	rows, doubles := record.Latest(rows)
	from.Files = hashes(dir)
	from.RunID = opts.RunID
	from.Parts = opts.Parts
	machines := folders(dir, opts.Parts)
	var unread, unsampled []error
	from.Runs, unread = environments(machines)
	from.Power, from.PowerRunID, unsampled = powerOf(machines, opts.Parts)
	problems = slices.Concat(problems, unread, unsampled)
	how.KV = file(dir, record.KVFile, record.ReadKV, &problems)
	how.Windows = file(dir, record.WindowFile, record.ReadWindows, &problems)
	how.Devices = file(dir, record.DeviceFile, record.ReadDevices, &problems)
	how.Quality = file(dir, record.QualityFile, record.ReadQuality, &problems)
	how.DeviceBytes = deviceBytes(environ.Hosts(from.Runs))
	how.PowerReads = powerReads(from)
	a, err := analyze.Analyze(rows, how)
	if err != nil {
		return nil, from, &ConfigError{err}
	}
	if from.Beside, err = beside(dir, opts, how, a); err != nil {
		return nil, from, &ConfigError{err}
	}
	for _, text := range opts.Differ {
		a.Warnings = append(a.Warnings, analyze.Warning{Text: "merged although " + text, Where: []string{"runs"}, Times: 1})
	}
	for _, problem := range append(problems, doubles...) {
		a.Warnings = append(a.Warnings, analyze.Warning{Text: problem.Error(), Where: []string{"run directory"}, Times: 1})
	}
	return a, from, nil
}

// file reads a file that may be beside the rows; without it the rows still say
// what they say, so that what is wrong with it is a problem, no error.
func file[T any](dir, name string, read func(path string) ([]T, []error, error), problems *[]error) []T {
	out, torn, err := read(filepath.Join(dir, name))
	if err != nil {
		torn = append(torn, err)
	}
	*problems = append(*problems, torn...)
	return out
}

func (o Options) load() (analyze.Options, error) {
	out := analyze.Options{RateUSDPerHour: o.RateUSDPerHour, Blend: o.Blend, Cells: o.Cells, PlannedRows: o.PlannedRows, Merged: len(o.Parts)}
	var err error
	if o.PricingPath != "" {
		if out.Pricing, err = pricing.Load(o.PricingPath); err != nil {
			return out, err
		}
	}
	out.Carbon, err = pricing.CarbonRegion(o.Carbon, o.Region)
	return out, err
}

// The files of a run directory that hold all tables, and the checks.
const (
	TablesFile     = "tables.json"
	ValidationFile = "validation.json"
	ReportFile     = "report.md"
	PageFile       = "report.html"
)

// Write writes the tables, one CSV each and all as JSON, the validation, the
// plots and both reports of an analysis into dir and returns their paths. A table without rows
// is in the JSON, saying why, and has no CSV; one of an earlier analysis is
// removed.
func Write(dir string, a *analyze.Analysis, from Origin) ([]string, error) {
	tables, err := a.Tables()
	if err != nil {
		return nil, err
	}
	tables = append(tables, cmp.Or(from.Beside, alone()))
	figures, err := plots.Write(filepath.Join(dir, PlotDir), a, plots.Extra{Power: from.Power, RunID: from.PowerRunID})
	if err != nil {
		return nil, err
	}
	doc := NewDocument(a, tables, figures, from)
	files := map[string][]byte{ReportFile: []byte(doc.Markdown())}
	if files[PageFile], err = doc.HTML(); err != nil {
		return nil, err
	}
	for _, t := range tables {
		name := filepath.FromSlash(t.Name) + ".csv"
		if t.Missing != "" {
			if err := os.Remove(filepath.Join(dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return nil, err
			}
			continue
		}
		var content bytes.Buffer
		if err := CSV(&content, t); err != nil {
			return nil, err
		}
		files[name] = content.Bytes()
	}
	if files[TablesFile], err = JSON(tables, a.Synthetic); err != nil {
		return nil, err
	}
	if files[ValidationFile], err = json.MarshalIndent(validation{named(a.Synthetic), a.Failed(), a.Checks, a.Claims}, "", "  "); err != nil {
		return nil, err
	}
	var paths []string
	for _, f := range figures {
		paths = append(paths, nonEmpty(f.SVGPath, f.PNGPath)...)
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return nil, err
		}
		if err := writeFile(path, files[name]); err != nil {
			return nil, err
		}
		paths = append(paths, path)
	}
	return paths, nil
}

// hashes identifies the files that a report is made of.
func hashes(dir string) []HashedFile {
	var out []HashedFile
	for _, name := range []string{record.File, record.KVFile, record.WindowFile, record.DeviceFile, record.QualityFile} {
		if data, err := os.ReadFile(filepath.Join(dir, name)); err == nil {
			out = append(out, HashedFile{name, fmt.Sprintf("%x", sha256.Sum256(data)), int64(len(data))})
		}
	}
	return out
}

// validation is what ValidationFile holds.
type validation struct {
	Synthetic []string        `json:"synthetic"` // models whose weights are random numbers
	Failed    bool            `json:"failed"`
	Checks    []analyze.Check `json:"checks"`
	Claims    []analyze.Claim `json:"claims"`
}

// writeFile puts content at path by way of a temporary file beside it, so that
// a reader sees the old content or the new.
func writeFile(path string, content []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err := errors.Join(err, f.Chmod(0o644), f.Close()); err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

// Verdict returns the validation in a line, and what failed.
func Verdict(a *analyze.Analysis) string {
	var s strings.Builder
	counts := map[analyze.Outcome]int{}
	for _, c := range a.Checks {
		counts[c.Outcome]++
	}
	word := analyze.Pass
	if a.Failed() {
		word = analyze.Fail
	}
	fmt.Fprintf(&s, "%s: %d checks hold, %d want a look, %d failed, %d cannot be tested here.",
		word, counts[analyze.Pass], counts[analyze.Warn], counts[analyze.Fail], counts[analyze.Untested])
	for _, c := range a.Checks {
		if c.Outcome == analyze.Fail {
			fmt.Fprintf(&s, " %s: %s.", c.Name, c.Result)
		}
	}
	return s.String()
}

// Rankings returns the rankings for a terminal, each with its verdict, or why
// there is none.
func Rankings(a *analyze.Analysis) string {
	if len(a.Groups) == 0 {
		return "No row was measured.\n"
	}
	var s strings.Builder
	for _, r := range a.Rankings {
		t := r.Table(a.Blend.Name)
		fmt.Fprintf(&s, "%s\n%s\n%s\n\n", t.Title, Text(t), verdict(r, a.Blend.Name))
	}
	if len(a.Rankings) == 0 || !a.Rankings[0].Own {
		s.WriteString(noOwnRate + "\n")
	}
	if n := len(a.Synthetic); n > 0 {
		fmt.Fprintf(&s, "SYNTHETIC WEIGHTS: %s\n", strings.Join(a.Synthetic, ", "))
	}
	return s.String()
}
