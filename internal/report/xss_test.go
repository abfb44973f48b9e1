package report

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/phasebench/phasebench/internal/promise"
	"github.com/phasebench/phasebench/internal/record"
)

// attack is markup that runs in any place where a text is not escaped: between
// tags, in an attribute of either quote, in a script, in a link and in Markdown.
const attack = `'"></script></style></title><script>pwned(1)</script><img src=x onerror=pwned(2)><svg onload=pwned(3)>` +
	`[a](javascript:pwned(4)) [b](//evil.example/x) [c](\\evil.example) ${pwned(5)} {{pwned 6}} --> ]]> \u003cscript>pwned(7)</script>`

// keep names fields whose values have a meaning of their own.
var keep = []string{"schema", "timestamp", "status", "device_kind", "decode_mode", "kv_type_k", "kv_type_v", "kind", "phase", "method", "source", "reasons", "skip_kind", "started", "ended", "token_hash", "prompt_hash"}

// hostile puts the attack behind every text of a JSON value.
func hostile(v any) any {
	switch v := v.(type) {
	case string:
		return v + attack
	case []any:
		for i := range v {
			v[i] = hostile(v[i])
		}
	case map[string]any:
		for name := range v {
			if !slices.Contains(keep, name) {
				v[name] = hostile(v[name])
			}
		}
	}
	return v
}

// hostileRun is a run whose every text holds the attack.
func hostileRun(t *testing.T, fixture string) string {
	t.Helper()
	dir := runDir(t, fixture)
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		path := filepath.Join(dir, f.Name())
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var out []byte
		for dec := json.NewDecoder(strings.NewReader(string(data))); dec.More(); {
			var v any
			if err := dec.Decode(&v); err != nil {
				t.Fatal(err)
			}
			line, err := json.Marshal(hostile(v))
			if err != nil {
				t.Fatal(err)
			}
			out = append(append(out, line...), '\n')
		}
		if err := os.WriteFile(path, out, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestFaultMarkup: no text of a run becomes markup, in a page as it is written
// and in a browser, after its controls were used.
func TestFaultMarkup(t *testing.T) {
	fixtures := []string{"energy", "gpu", "cpu"}
	promise.Of(t, "models, notes and errors that are HTML or scripts", "every text of the rows and of the environment with scripts, tags, links and quotes behind it; the page opened in Chromium and its controls used",
		"the page has the tags that it has without them, leads to no other place, and nothing runs")
	fixtures = fixtures[:promise.Times(t, 1, len(fixtures))]
	// The attack calls this, and so would a reader's hand.
	const trap = `<script>globalThis.pwned = (n) => { document.documentElement.dataset.pwned += " " + n; }; document.documentElement.dataset.pwned = "by";</script></head>`
	const use = `<script>
addEventListener("load", () => {
  for (const control of document.querySelectorAll("select, input")) control.dispatchEvent(new Event("input", { bubbles: true }));
  for (const head of document.querySelectorAll("table.sortable th")) head.click();
  setTimeout(() => parent.postMessage(document.documentElement.outerHTML, "*"), 500);
});
</script></body>`
	for _, fixture := range fixtures {
		t.Run(fixture, func(t *testing.T) {
			clean, dirty := runDir(t, fixture), hostileRun(t, fixture)
			for _, dir := range []string{clean, dirty} {
				fromDir(t, dir, Options{PricingPath: pricingPath, Carbon: carbonPath})
			}
			page := checkPage(t, dirty)
			if !strings.Contains(page, "pwned") {
				t.Fatal("the attack is not in the page at all")
			}
			foreign := foreignTags(elements(t, page), elements(t, checkPage(t, clean)))
			if len(foreign) > 0 {
				t.Errorf("tags and attributes that the page without the attack lacks: %q", foreign)
			}
			page = strings.Replace(strings.Replace(page, "</head>", trap, 1), "</body>", use, 1)
			dom := browse(t, page, 1440)
			if !strings.Contains(dom, `data-pwned="by"`) {
				at := strings.Index(dom, "data-pwned=")
				t.Errorf("something ran: %s", dom[max(at, 0):min(len(dom), max(at, 0)+200)])
			}
		})
	}
	rows, _, err := record.Read(filepath.Join(hostileRun(t, "cpu"), record.File))
	if err != nil || len(rows) == 0 || !strings.Contains(rows[0].Model, "pwned") {
		t.Errorf("%d rows, %v", len(rows), err)
	}
}

// foreignTags returns what only the first of two pages has: names of tags, of
// their attributes, and where links lead that is not inside the page.
func foreignTags(page, without []element) []string {
	known := map[string]bool{}
	words := func(e element) []string {
		out := []string{"<" + e.name + ">"}
		for _, name := range slices.Sorted(maps.Keys(e.attrs)) {
			out = append(out, "<"+e.name+" "+name+">")
			if to := e.attrs[name]; name == "href" && !strings.HasPrefix(to, "#") {
				out = append(out, to)
			}
		}
		return out
	}
	for _, e := range without {
		for _, w := range words(e) {
			known[w] = true
		}
	}
	var out []string
	for _, e := range page {
		for _, w := range words(e) {
			if !known[w] && !slices.Contains(out, w) {
				out = append(out, w)
			}
		}
	}
	return out
}
