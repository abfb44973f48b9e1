package report

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"html"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// browse opens a page of its own making in Chromium, as wide as told, and
// returns what the page is after a while. It skips the test where there is no
// Chromium, which costs no check of a figure: TestPageCostsAreThoseOfEcon runs
// the page's formulas without a browser.
func browse(t *testing.T, page string, widthPx int) string {
	t.Helper()
	var program string
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "chromium-headless-shell"} {
		if path, err := exec.LookPath(name); err == nil {
			program = path
			break
		}
	}
	if program == "" {
		t.Skip("no Chromium here, so the page is not opened in a browser; on Debian: apt-get install chromium")
	}
	dir := t.TempDir()
	// Windows have a least width, frames have not.
	host := fmt.Sprintf(`<!DOCTYPE html><script>onmessage = (e) => { document.body.textContent = e.data; }</script>`+
		`<body style="margin: 0"><iframe src="%s" style="border: 0; width: %dpx; height: 900px"></iframe>`, PageFile, widthPx)
	for name, text := range map[string]string{PageFile: page, "host.html": host} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--user-data-dir="+filepath.Join(dir, "profile"),
		"--window-size=1600,1000", "--hide-scrollbars", "--enable-logging=stderr", "--virtual-time-budget=10000", "--dump-dom", "file://"+filepath.Join(dir, "host.html"))
	var out, log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &log
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s: %v\n%s", program, err, log.String())
	}
	for line := range strings.Lines(log.String()) {
		if strings.Contains(line, "CONSOLE") {
			t.Errorf("the console says: %s", line)
		}
	}
	return html.UnescapeString(out.String())
}

// drive is what a reader does to the page, and what the test wants to know.
const drive = `<script>
addEventListener("load", () => {
  const choose = (id, value) => {
    const control = document.getElementById(id);
    control.value = value;
    control.dispatchEvent(new Event("input", { bubbles: true }));
  };
  choose("tier", "aws-spot");
  choose("blend", "codegen");
  choose("kwh", "0.2");
  const head = document.querySelector("table.sortable th");
  head.click();
  head.click();
  const root = document.documentElement;
  root.dataset.sorted = [...head.closest("table").tBodies[0].rows].map((row) => row.cells[0].dataset.v).join();
  document.getElementById("theme").click();
  root.dataset.width = innerWidth;
  root.dataset.page = root.scrollWidth;
  parent.postMessage(root.outerHTML, "*");
});
</script></body>`

// TestInBrowser drives the controls of a page in a browser, as wide as a desk's
// and as a phone's, and holds the dollars it shows against the tables that an
// analysis writes.
func TestInBrowser(t *testing.T) {
	dir := runDir(t, "energy")
	fromDir(t, dir, Options{PricingPath: pricingPath, Blend: "codegen"})
	want := tierCosts(t, dir, "aws-spot")
	fromDir(t, dir, Options{PricingPath: pricingPath}) // the page starts from another blend
	page := strings.Replace(checkPage(t, dir), "</body>", drive, 1)
	for _, width := range []int{1440, 390} {
		t.Run(strconv.Itoa(width), func(t *testing.T) {
			dom := browse(t, page, width)
			_, rows, ok := strings.Cut(dom, `id="price-rows">`)
			rows, _, _ = strings.Cut(rows, "</tbody>")
			n := 0
			for _, row := range regexp.MustCompile(`<tr><td[^>]*>\d+</td><td data-v="([^"]*)">.*?</td><td class="num" data-v="([^"]*)">`).FindAllStringSubmatch(rows, -1) {
				got, err := strconv.ParseFloat(row[2], 64)
				if usd, known := want[row[1]]; err != nil || !known || !near(got, usd) {
					t.Errorf("%s: the page says $%s, the tables $%v", row[1], row[2], usd)
				}
				n++
			}
			if !ok || n < 6 {
				t.Errorf("%d configurations in: %s", n, rows)
			}
			data := map[string]string{}
			for _, m := range regexp.MustCompile(`data-(\w+)="([^"]*)"`).FindAllStringSubmatch(regexp.MustCompile(`<html lang[^>]*>`).FindString(dom), -1) {
				data[m[1]] = m[2]
			}
			if data["width"] != strconv.Itoa(width) || data["page"] != data["width"] {
				t.Errorf("the page is %s px wide in a window of %s, want %d for both: only tables may scroll sideways", data["page"], data["width"], width)
			}
			if data["sorted"] != "4,3,2,1" {
				t.Errorf("sorted by place, the last first: %s", data["sorted"])
			}
			if data["theme"] != "dark" && data["theme"] != "light" {
				t.Errorf("the theme is %q after a click on its button", data["theme"])
			}
		})
	}
}

// tierCosts returns what the blend costs at a tier by configuration, from the
// tables as they are written.
func tierCosts(t *testing.T, dir, tier string) map[string]float64 {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, TablesFile))
	if err != nil {
		t.Fatal(err)
	}
	var all struct {
		Tables []struct {
			Name    string
			Columns []struct{ Name string }
			Rows    [][]any
		}
	}
	if err := json.Unmarshal(data, &all); err != nil {
		t.Fatal(err)
	}
	out := map[string]float64{}
	for _, table := range all.Tables {
		if table.Name != tierTable {
			continue
		}
		for _, row := range table.Rows {
			cell := map[string]any{}
			for i, c := range table.Columns {
				cell[c.Name] = row[i]
			}
			if cell["tier"] != tier {
				continue
			}
			name := cell["model"].(string) + " on " + cell["backend"].(string)
			if v, _ := cell["variant"].(string); v != "" {
				name += " (" + v + ")"
			}
			out[name] = cell["blend_usd_per_m"].(float64)
		}
	}
	return out
}
