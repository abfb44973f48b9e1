package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// notRun lists the commands of README that its test does not run, with the
// reason. Of those it is checked that targets, scripts and flags exist.
var notRun = map[string]string{
	"make demo": "minutes of building and measuring",
	"make cuda && ./bench -matrix configs/matrix.yaml": "needs a GPU, model files and hours",
	"make test": "runs this very test",
	"./bench overhead --model models/tiny-llama.gguf --pairs 20":                 "needs a sensor of power or a GPU",
	"scripts/fetch-models.sh gpt2":                                               "downloads; scripts/fetch_models_test.go runs it on a local server",
	"scripts/compare-llama-bench.sh --pairs 20":                                  "builds llama-bench and measures for half an hour",
	"scripts/kernels.sh --models llama-3.2-1b":                                   "needs a GPU; scripts/kernels sums up traces in its tests",
	"scripts/settings.sh --gpu --pairs 5":                                        "needs a GPU; scripts/settings_test.go runs it with a stand-in",
	"scripts/h200-study.sh measure":                                              "needs a GPU; TestStudyScript takes the three steps with tiny models",
	"scripts/h200-study.sh peers":                                                "as before, and needs transformers",
	"scripts/h200-study.sh report":                                               "as before",
	"scripts/slurm/submit.sh -matrix configs/matrix.yaml --partitions h100,a100": "needs Slurm; make test-slurm submits to a real one",
	"scripts/bundle-offline.sh":                                                  "packs the toolchain for a minute, from a clean tree",
}

// The commands of README work, one after the other in one folder, as a reader
// would try them.
func TestReadmeCommands(t *testing.T) {
	readme := document(t, "README.md")
	dir := workspace(t)
	for link, target := range map[string]string{
		filepath.Join(dir, "bench"):   filepath.Join(home, "bench"),
		filepath.Join(dir, "configs"): filepath.Join(root(t), "configs"),
		// A reader has a file of their own.
		filepath.Join(dir, "llama-bench.jsonl"): filepath.Join(root(t), "internal/imports/testdata/llama-bench.jsonl"),
	} {
		if err := os.Symlink(target, link); err != nil {
			t.Fatal(err)
		}
	}
	var commands []string
	for _, block := range codeBlocks(readme) {
		for line := range strings.Lines(block) {
			if command, ok := strings.CutPrefix(line, "$ "); ok {
				commands = append(commands, strings.TrimSpace(command))
			}
		}
	}
	if len(commands) < 10 {
		t.Fatalf("%d commands found in README", len(commands))
	}
	for command := range notRun {
		if !slices.Contains(commands, command) {
			t.Errorf("notRun lists %q, which README does not have", command)
		}
	}
	for _, command := range commands {
		if notRun[command] != "" {
			for part := range strings.SplitSeq(command, " && ") {
				exists(t, strings.Fields(part))
			}
			continue
		}
		args := strings.Fields(command)
		if args[0] != "./bench" {
			t.Errorf("%q is neither ./bench nor in notRun", command)
			continue
		}
		if out := bench(t, dir, args[1:], 0); args[1] == "-matrix" {
			excerpt(t, readme, out)
		}
	}
	t.Run("folder", func(t *testing.T) { runFolder(t, readme, filepath.Join(dir, "results", "first")) })
}

// exists checks that a command can be called like this, without running it.
func exists(t *testing.T, args []string) {
	t.Helper()
	switch name := args[0]; {
	case name == "make":
		for _, target := range args[1:] {
			if !strings.Contains(document(t, "Makefile"), "\n"+target+":") {
				t.Errorf("the Makefile has no target %s", target)
			}
		}
	case name == "./bench" && args[1] == "-matrix": // run's own flags
		document(t, args[2])
	case strings.HasPrefix(name, "scripts/"):
		usage, err := exec.Command(filepath.Join(root(t), name), "--help").Output()
		if err != nil {
			t.Errorf("%s --help: %v", name, err)
		}
		hasFlags(t, string(usage), args)
	case name == "./bench":
		hasFlags(t, bench(t, t.TempDir(), []string{"help", args[1]}, 0), args)
	default:
		t.Errorf("no way to check %q", args)
	}
}

// hasFlags checks that a usage text knows the long flags of a command.
func hasFlags(t *testing.T, usage string, args []string) {
	t.Helper()
	for _, arg := range args[1:] {
		if word := regexp.MustCompile(`(^|\W)` + regexp.QuoteMeta(arg) + `(\W|$)`); strings.HasPrefix(arg, "--") && !word.MatchString(usage) {
			t.Errorf("%s has no flag %s", args[0], arg)
		}
	}
}

// excerpt checks that the ranking shown in README has columns that a run prints.
func excerpt(t *testing.T, readme, out string) {
	t.Helper()
	header := regexp.MustCompile("(?m)^│ # .*$")
	shown, printed := header.FindString(readme), header.FindString(out)
	if shown == "" || printed == "" {
		t.Fatalf("no ranking in README (%q) or in what was printed:\n%s", shown, out)
	}
	var columns []string
	for cell := range strings.SplitSeq(printed, "│") {
		columns = append(columns, strings.TrimSpace(cell))
	}
	for cell := range strings.SplitSeq(shown, "│") {
		if name := strings.TrimSpace(cell); name != "..." && !slices.Contains(columns, name) {
			t.Errorf("README shows a column %q, a run prints %q", name, columns)
		}
	}
}

// runFolder checks that README names each file of a run's folder, and no other.
func runFolder(t *testing.T, readme, dir string) {
	_, section, _ := strings.Cut(readme, "## The folder of a run")
	section, _, _ = strings.Cut(section, "\n## ")
	var named []string
	for _, row := range regexp.MustCompile("(?m)^\\| `.*?\\|").FindAllString(section, -1) {
		for _, m := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(row, -1) {
			named = append(named, strings.TrimSuffix(m[1], "/"))
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !slices.Contains(named, e.Name()) {
			t.Errorf("a run leaves %s, which README does not name", e.Name())
		}
	}
	needsMore := []string{"power_samples.jsonl", "energy_windows.jsonl", "quality.jsonl"} // sensors, and a text
	for _, name := range named {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil && !slices.Contains(needsMore, name) {
			t.Errorf("README names %s, which a run does not leave", name)
		}
	}
}

// Each command has an example.
func TestReadmeNamesAllCommands(t *testing.T) {
	readme := document(t, "README.md")
	for _, c := range commands() {
		if c.about != "" && !strings.Contains(readme, "\n$ ./bench "+c.name+" ") && !strings.Contains(readme, "\n$ ./bench "+c.name+"\n") {
			t.Errorf("README has no example of bench %s", c.name)
		}
	}
}

// Files and flags that the documents name exist.
func TestDocumentsNameWhatExists(t *testing.T) {
	// Made by building or running.
	made := regexp.MustCompile(`^(\./bench|build/(lib|reliability)|results/.*|tables/.*|models/.*|dist/.*|toolchain/.*|third_party/llama\.cpp)$`)
	path := regexp.MustCompile(`^[\w./-]+/[\w./-]*$|^[\w.-]+\.(md|go|yaml|sh|tsv|lock|txt)$|^LICENSE$`)
	flag := regexp.MustCompile(`--[a-z][a-z-]+`)
	known := usages(t)
	for _, name := range []string{"README.md", "CONTRIBUTING.md"} {
		found := 0
		for _, m := range regexp.MustCompile("`([^`\n]+)`").FindAllStringSubmatch(document(t, name), -1) {
			code := m[1]
			for _, f := range flag.FindAllString(code, -1) {
				if f != "--help" && !strings.Contains(known, f) {
					t.Errorf("%s: `%s`: nothing has a flag %s", name, code, f)
				}
			}
			for word := range strings.FieldsSeq(code) {
				if !path.MatchString(word) || made.MatchString(word) || slices.Contains(runFiles, word) {
					continue
				}
				found++
				if _, err := os.Stat(filepath.Join(root(t), word)); err != nil {
					t.Errorf("%s: `%s`: there is no %s", name, code, word)
				}
			}
		}
		if found < 3 {
			t.Errorf("%s: only %d paths were recognised", name, found)
		}
	}
}

// runFiles look like files of the repository but are those of a run's folder,
// which TestReadmeCommands looks at.
var runFiles = []string{"report.md", "report.html", "plots/", "matrix.yaml", "pricing.yaml", "kv_cache_analysis/", "tables/"}

// usages returns what all commands and scripts say about their flags.
func usages(t *testing.T) string {
	var all strings.Builder
	help(&all)
	for _, c := range commands() {
		if c.about != "" {
			all.WriteString(bench(t, t.TempDir(), []string{c.name, "--help"}, 0))
		}
	}
	scripts, err := filepath.Glob(filepath.Join(root(t), "scripts", "*.sh"))
	slurm, err2 := filepath.Glob(filepath.Join(root(t), "scripts", "slurm", "*.sh"))
	if err := errors.Join(err, err2); err != nil {
		t.Fatal(err)
	}
	for _, s := range append(scripts, slurm...) {
		out, err := exec.Command(s, "--help").Output()
		if err != nil {
			t.Fatalf("%s --help: %v", s, err)
		}
		all.Write(out)
	}
	return all.String()
}

// codeBlocks returns the fenced blocks of a Markdown text.
func codeBlocks(text string) []string {
	var blocks []string
	for _, m := range regexp.MustCompile("(?ms)^```\\w*\n(.*?)^```$").FindAllStringSubmatch(text, -1) {
		blocks = append(blocks, m[1])
	}
	return blocks
}

// document returns a file of the repository by its path from the root.
func document(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root(t), path))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func root(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}
