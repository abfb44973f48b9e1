package measure

import (
	"runtime"
	"strings"
	"testing"

	"github.com/phasebench/phasebench/internal/clock"
	"github.com/phasebench/phasebench/internal/wire"
	"github.com/phasebench/phasebench/llama"
)

func window(phase, mode string, rampMs, windowMs float64) wire.Request {
	return wire.Request{Window: &wire.Window{Row: *row(mode).Row, Phase: phase, RampMs: rampMs, WindowMs: windowMs}}
}

// askWindow asks for a window and checks what holds for each.
func askWindow(t *testing.T, c *wire.Client, q wire.Request) *wire.WindowReply {
	t.Helper()
	before := clock.NowNs()
	r := ask(t, c, q)
	w := r.Window
	if w == nil {
		t.Fatalf("window: %+v", r.Error)
	}
	if len(w.EndNs) == 0 || len(w.Tokens) != len(w.EndNs) {
		t.Fatalf("%d ends and %d token counts", len(w.EndNs), len(w.Tokens))
	}
	if n := len(w.References); n < 2*wire.FewestReferences || n > 2*wire.MostReferences || w.Before < wire.FewestReferences || w.Before > n-wire.FewestReferences {
		t.Errorf("%d references, %d of them before", n, w.Before)
	}
	if open := w.EndNs[len(w.EndNs)-1] - w.StartNs; w.BusyNs <= open || w.BusyNs > clock.NowNs()-before {
		t.Errorf("at work for %d ns, of which %d ns are the window", w.BusyNs, open)
	}
	for _, r := range w.References {
		// A tiny model on any machine, asleep or awake.
		if r < 1 || r > 1e7 {
			t.Errorf("a reference of %g tok/s", r)
		}
	}
	if ramp := w.OpenNs - w.StartNs; w.StartNs < before || float64(ramp) < q.Window.RampMs*1e6 {
		t.Errorf("asked at %d, started at %d, opened %d ns later, want at least %g ms", before, w.StartNs, ramp, q.Window.RampMs)
	}
	last := w.OpenNs
	for i, ns := range w.EndNs {
		if ns <= last {
			t.Errorf("the clock stood still or went back at repetition %d", i)
		}
		last = ns
	}
	if open := float64(last - w.OpenNs); open < q.Window.WindowMs*1e6 {
		t.Errorf("open for %g ns, want at least %g ms", open, q.Window.WindowMs)
	}
	// It ends with the first repetition that is past the time asked for.
	if n := len(w.EndNs); n > 1 && float64(w.EndNs[n-2]-w.OpenNs) >= q.Window.WindowMs*1e6 {
		t.Errorf("%d repetitions, the last after the window was over", n)
	}
	return w
}

func TestDecodeWindow(t *testing.T) {
	c := serve(t)
	open(t, c)
	want := ask(t, c, row("cached")).Row
	for _, mode := range []string{"cached", "uncached"} {
		w := askWindow(t, c, window("decode", mode, 5, 200))
		if len(w.EndNs) < 2 {
			t.Errorf("%s: a window of 200 ms holds %d repetitions of some ms", mode, len(w.EndNs))
		}
		for _, n := range w.Tokens {
			if n != 8 {
				t.Errorf("%s: a repetition of %d tokens, want 8", mode, n)
			}
		}
		if w.TokenHash != want.TokenHash {
			t.Errorf("%s: tokens %q, those of the row are %q", mode, w.TokenHash, want.TokenHash)
		}
	}
	// The window leaves nothing behind that a row would notice.
	after := ask(t, c, row("cached")).Row
	if after == nil || after.TokenHash != want.TokenHash || after.KVUsedBytes != want.KVUsedBytes || after.ContextMs != nil {
		t.Errorf("the row before %+v, after %+v", want, after)
	}
}

func TestPrefillWindow(t *testing.T) {
	c := serve(t)
	open(t, c)
	for _, prompt := range []int{32, 1} {
		q := window("prefill", "cached", 0, 100)
		q.Window.Row.PromptTokens = prompt
		w := askWindow(t, c, q)
		if w.OpenNs != w.StartNs || w.TokenHash != "" {
			t.Errorf("%+v: no ramp-in was asked for, and a prefill has no hash", w)
		}
		for i, n := range w.Tokens {
			if want := max(prompt-i%2, 1); n != want {
				t.Errorf("repetition %d of a prompt of %d evaluated %d tokens, want %d", i, prompt, n, want)
			}
		}
	}
	if w := askWindow(t, c, window("prefill", "cached", 20, 0)); len(w.EndNs) != 1 {
		t.Errorf("a window of no time held %d repetitions, want 1", len(w.EndNs))
	}
}

func TestWindowRefusals(t *testing.T) {
	c := serve(t)
	check := func(name string, change func(*wire.Window), says string) {
		t.Helper()
		q := window("decode", "cached", 1, 1)
		change(q.Window)
		if r := ask(t, c, q); r.Error == nil || r.Error.Kind != "input" || !strings.Contains(r.Error.Message, says) {
			t.Errorf("%s: %+v, want an input error saying %q", name, r.Error, says)
		}
	}
	check("no model", func(*wire.Window) {}, "no model is open")
	open(t, c)
	check("phase", func(w *wire.Window) { w.Phase = "warmup" }, `"warmup"`)
	check("negative ramp", func(w *wire.Window) { w.RampMs = -1 }, "ramp_ms is -1")
	check("negative window", func(w *wire.Window) { w.WindowMs = -1 }, "window_ms -1")
	check("an hour", func(w *wire.Window) { w.WindowMs = 3600e3 }, "want 0 to 600000")
	check("nothing to decode", func(w *wire.Window) { w.Row.GenTokens = 0 }, "at least 1")
	check("too long for the context", func(w *wire.Window) { w.Row.GenTokens = 100 }, "do not fit")
}

// session opens the model on this thread, without a worker around it.
func session(t *testing.T) *Session {
	t.Helper()
	runtime.LockOSThread()
	t.Cleanup(runtime.UnlockOSThread)
	if err := llama.Init(); err != nil {
		t.Fatal(err)
	}
	s, _, err := Open(wire.Open{ModelPath: model, Engine: wire.Engine{Device: "cpu", Threads: 1, Mmap: true}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// One token that differs in one repetition leaves a window without a hash.
func TestWindowOfOtherTokens(t *testing.T) {
	s := session(t)
	for wrong, hashed := range map[int]bool{-1: true, 2: false} { // the repetition that goes wrong
		trial, err := s.prepare(*row("cached").Row)
		if err != nil {
			t.Fatal(err)
		}
		one := trial.subject.(*single)
		pass, generate := 0, one.decode
		one.decode = func(n int, onStep func(int, int32) error) error {
			defer func() { pass++ }()
			return generate(n, func(i int, token int32) error {
				if pass == wrong && i == n-1 {
					token++
				}
				return onStep(i, token)
			})
		}
		again, tokenHash, err := trial.decodes(trial.gen)
		if err != nil {
			t.Fatal(err)
		}
		for range 4 {
			if err := again(); err != nil {
				t.Fatal(err)
			}
		}
		if hash := tokenHash(); (hash != "") != hashed {
			t.Errorf("repetition %d differs: hash %q", wrong, hash)
		}
	}
}

// A window does the work of the row. Here only a factor of the time is checked,
// on one thread of a machine that may be busy; it fails when a window counts
// prefills, forgets tokens or mixes up its units.
func TestWindowRate(t *testing.T) {
	s, r := session(t), *row("cached").Row
	fastest := 0.0 // ns per decoded token
	for range 5 {
		got, err := s.Row(r)
		if err != nil {
			t.Fatal(err)
		}
		if ns := float64(got.StepEndNs[r.GenTokens-1]-got.PrefillEndNs) / float64(r.GenTokens); fastest == 0 || ns < fastest {
			fastest = ns
		}
	}
	w, err := s.Window(wire.Window{Row: r, Phase: "decode", RampMs: 50, WindowMs: 300})
	if err != nil {
		t.Fatal(err)
	}
	tokens := 0
	for _, n := range w.Tokens {
		tokens += n
	}
	got := float64(w.EndNs[len(w.EndNs)-1]-w.OpenNs) / float64(tokens)
	t.Logf("%.0f us a token in the window of %d repetitions, %.0f in the fastest row", got/1e3, len(w.EndNs), fastest/1e3)
	if got > 10*fastest || got < fastest/10 {
		t.Errorf("%.0f ns a token in the window, %.0f in the fastest row", got, fastest)
	}
}

func TestRoofline(t *testing.T) {
	c := serve(t)
	r := ask(t, c, wire.Request{Roofline: &wire.Roofline{Engine: wire.Engine{Device: "cpu", Threads: 1}}}).Roofline
	if r == nil || r.Device == "" || r.Threads != 1 || r.CopyBytesPerS <= 0 || r.CopyBytes < 1<<20 || r.MatmulFlopsPerS <= 0 || r.MatmulSize < 1024 {
		t.Errorf("roofline %+v", r)
	}
	if r := ask(t, c, wire.Request{Roofline: &wire.Roofline{Engine: wire.Engine{Device: "abacus"}}}); r.Error == nil || r.Error.Kind != "input" {
		t.Errorf("a device that does not exist: %+v", r)
	}
}
