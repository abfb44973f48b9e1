package matrix

import (
	"errors"
	"runtime"
	"strings"
	"testing"

	"github.com/phasebench/phasebench/internal/plainyaml"
	"github.com/phasebench/phasebench/internal/promise"
)

// with returns minimal with one text replaced, which must be there.
func with(t *testing.T, old, replacement string) []byte {
	t.Helper()
	if !strings.Contains(minimal, old) {
		t.Fatalf("%q is not in\n%s", old, minimal)
	}
	return []byte(strings.Replace(minimal, old, replacement, 1))
}

// Names become file names, cell IDs and words on the terminal.
func TestFaultHostileNames(t *testing.T) {
	names := []string{
		"../../x", "..", ".", "/etc/passwd", "a/b", `a\\b`, "~root", "-rf", "$(id)", "`id`", "a;id", "a|b", "a&b", "a b", "*", "a\\0b", "a\\nb", "\\e[31m", "\\u202Ea", "ä",
		"<script>", "a'b", "CON:", "%00", strings.Repeat("a", 65),
	}
	promise.Of(t, "names that are paths, commands or markup", "models, backends and scenarios of a matrix called ../../x, $(id), <script> and the like",
		"refused at file:line:column; nothing is run")
	promise.Tries(t, 3*len(names))
	for _, name := range names {
		for _, old := range []string{"{name: gpt2", "{name: cpu", "{name: s"} {
			_, err := Parse("m.yaml", with(t, old, `{name: "`+name+`"`))
			var e *Error
			if !errors.As(err, &e) || !strings.HasPrefix(err.Error(), "m.yaml:") || !strings.Contains(err.Error(), "name: ") {
				t.Errorf("%s called %s: %v", old, name, err)
			}
			if err != nil && strings.ContainsAny(err.Error(), "\x1b\x00\u202e") {
				t.Errorf("the error holds what the terminal would obey: %q", err)
			}
		}
	}
}

func TestFaultHugeNumbers(t *testing.T) {
	numbers := []string{"-1", "0", "1.5", "1e9", "1e308", "1e309", ".nan", ".inf", "-.inf", "2147483648", "9223372036854775807", "9223372036854775808", strings.Repeat("9", 1000), "0x7fffffff", "0o17", "0b1", "1_000", "null", "~", "[]", "{}", "true"}
	promise.Of(t, "numbers beyond all measure", "huge, negative, broken and other values as tokens and repetitions",
		"refused at file:line:column")
	promise.Tries(t, 3*len(numbers))
	for _, n := range numbers {
		for _, key := range []string{"prompt_tokens: 8", "gen_tokens: 4", "repetitions: 3"} {
			name, _, _ := strings.Cut(key, ":")
			if _, err := Parse("m.yaml", with(t, key, name+": "+n)); err == nil || !strings.HasPrefix(err.Error(), "m.yaml:") {
				t.Errorf("%s: %s: %v", name, n, err)
			}
		}
	}
}

// Files that are small and would be large when read.
func TestFaultBombs(t *testing.T) {
	var laughs strings.Builder
	laughs.WriteString("a0: &a0 [x,x,x,x,x,x,x,x,x]\n")
	for i := range 30 {
		a, b := string(rune('a'+i%26)), string(rune('a'+(i+1)%26))
		laughs.WriteString(b + ": &" + b + " [*" + a + ",*" + a + ",*" + a + "]\n")
	}
	bombs := map[string]string{
		"billion laughs":   laughs.String(),
		"merge keys":       "a: &a {b: 1}\nc: {<<: *a}\n",
		"itself":           "a: &a [*a]\n",
		"lists":            strings.Repeat("[", plainyaml.MaxBytes),
		"mappings":         strings.Repeat("{a: ", plainyaml.MaxBytes/4),
		"block lists":      strings.Repeat("- ", plainyaml.MaxBytes/2),
		"indentation":      deep(500),
		"words":            strings.Repeat("a\n", plainyaml.MaxBytes/2),
		"keys":             strings.Repeat("? ", plainyaml.MaxBytes/2),
		"one line":         minimal + "# " + strings.Repeat("x", plainyaml.MaxBytes-1000),
		"a long word":      strings.Replace(minimal, "gpt2", strings.Repeat("a", plainyaml.MaxBytes-1000), 1),
		"quotes":           strings.Repeat(`"`, plainyaml.MaxBytes),
		"documents":        strings.Repeat("---\n", plainyaml.MaxBytes/4),
		"a tag":            "!!binary " + strings.Repeat("A", 1000),
		"zero bytes":       strings.Repeat("\x00", plainyaml.MaxBytes),
		"broken UTF-8":     strings.Repeat("\xff\xfe", plainyaml.MaxBytes/2),
		"an open bracket":  minimal + "x: [" + strings.Repeat("a,", 9000),
		"carriage returns": strings.Repeat("\r", plainyaml.MaxBytes),
	}
	promise.Of(t, "YAML bombs", "aliases that multiply, a megabyte of brackets, words, quotes, keys or zero bytes, deep indentation",
		"refused at file:line:column, or read as what it is; less than 512 MiB are allocated in passing for each")
	promise.Tries(t, len(bombs))
	for name, content := range bombs {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := Parse("m.yaml", []byte(content))
		runtime.ReadMemStats(&after)
		if used := (after.TotalAlloc - before.TotalAlloc) >> 20; used > 512 {
			t.Errorf("%s: %d MiB were allocated", name, used)
		} else {
			t.Logf("%s: %d MiB", name, used)
		}
		if name == "one line" { // a comment
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if err == nil || !strings.HasPrefix(err.Error(), "m.yaml:") {
			t.Errorf("%s: %v", name, err)
		} else if len(err.Error()) > 10_000 {
			t.Errorf("%s: an error of %d bytes", name, len(err.Error()))
		}
	}
}

// deep nests mappings by indentation alone.
func deep(levels int) string {
	var b strings.Builder
	for i := range levels {
		b.WriteString(strings.Repeat(" ", i) + "a:\n")
	}
	return b.String()
}
