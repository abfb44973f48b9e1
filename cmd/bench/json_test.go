package main

import (
	"encoding/json"
	"io"
	"strings"
	"testing"

	"github.com/phasebench/phasebench/internal/doctor"
	"github.com/phasebench/phasebench/internal/wire"
)

// decode reads the JSON values that a command printed.
func decode[T any](t *testing.T, out string) []T {
	t.Helper()
	var all []T
	for dec := json.NewDecoder(strings.NewReader(out)); ; {
		var v T
		err := dec.Decode(&v)
		if err == io.EOF {
			return all
		}
		if err != nil {
			t.Fatalf("%v in\n%s", err, out)
		}
		all = append(all, v)
	}
}

func TestJSON(t *testing.T) {
	dir := workspace(t)
	bench(t, dir, []string{"synth", "tiny-gpt2", "-o", "tiny.gguf"}, 0)

	t.Run("plan", func(t *testing.T) {
		// A plan makes no model, so without this it could not look into one.
		bench(t, dir, []string{"synth", "tiny-gpt2", "-o", "models/synthetic/tiny-gpt2-seed42-f16.gguf"}, 0)
		out := bench(t, dir, []string{"plan", "-matrix", "small.yaml", "--models", "tiny-gpt2", "--backends", "cpu", "--json"}, 0)
		plans := decode[[]planGroup](t, out)
		if len(plans) != 1 || len(plans[0]) != 1 || len(plans[0][0].Cells) != 2 {
			t.Fatalf("want one group of two cells:\n%s", out)
		}
		g := plans[0][0]
		if g.Problem != "" || g.NeedBytes == nil || g.FreeBytes == nil || *g.NeedBytes <= 0 || *g.FreeBytes < *g.NeedBytes {
			t.Errorf("memory: %s", out)
		}
		if g.EstimateS == nil || *g.EstimateS <= 0 || *g.EstimateS > 60 {
			t.Errorf("estimate: %s", out)
		}
		if c := g.Cells[1]; c.Scenario != "long" || c.PromptTokens != 32 || c.GenTokens != 12 || c.Rows != 4 || c.Skip != "" || c.ID == "" {
			t.Errorf("cell: %+v", c)
		}
	})

	t.Run("kv", func(t *testing.T) {
		out := bench(t, dir, []string{"kv", "tiny.gguf", "--json", "--lengths", "2,64,128,256,512,1024,2048"}, 0)
		points := decode[kvRow](t, out)
		if len(points) != 7 {
			t.Fatalf("%d points, want 7:\n%s", len(points), out)
		}
		for _, p := range points {
			want := kvBytesPerToken["tiny-gpt2"] * int64(p.Asked)
			if p.Tokens != p.Asked || p.UsedBytes != want || p.FormulaBytes == nil || *p.FormulaBytes != want || p.ClearedUsedBytes != 0 || p.AllocBytes < want || !*p.Exact || !p.Synthetic ||
				p.PrefillUsedBytes != kvBytesPerToken["tiny-gpt2"]*int64(p.PrefillTokens) || p.PrefillTokens >= p.Tokens {
				t.Errorf("want %d bytes: %+v", want, p)
			}
		}
	})

	t.Run("probe", func(t *testing.T) {
		args := []string{"probe", "--model", "tiny.gguf", "--prompt", "16", "--gen", "8", "--reps", "2", "--threads", "1", "--json"}
		var hash string
		for _, more := range [][]string{nil, {"--uncached"}, {"--argmax", "host"}} {
			out := bench(t, dir, append(args[:len(args):len(args)], more...), 0)
			all := decode[probeResult](t, out)
			if len(all) != 1 {
				t.Fatalf("want one result:\n%s", out)
			}
			r := all[0]
			if len(r.PrefillMs) != 2 || len(r.DecodeMs) != 2 || r.PrefillMs[0] <= 0 || r.DecodeMs[1] <= 0 || !r.Synthetic || r.Threads != 1 || r.Device == "" {
				t.Errorf("%v: %+v", more, r)
			}
			if len(r.TokenHashes) != 2 {
				t.Fatalf("%v: hashes %q", more, r.TokenHashes)
			}
			if hash == "" {
				hash = r.TokenHashes[0]
			}
			if r.TokenHashes[0] != hash || r.TokenHashes[1] != hash || hash == "" {
				t.Errorf("%v: token hashes %q, want %q", more, r.TokenHashes, hash)
			}
		}
	})

	t.Run("devices", func(t *testing.T) {
		all := decode[wire.DevicesReply](t, bench(t, dir, []string{"devices", "--json"}, 0))
		cpus := 0
		for _, d := range all[0].Devices {
			if d.Kind == "cpu" && d.TotalBytes > 0 {
				cpus++
			}
		}
		if len(all) != 1 || cpus != 1 || all[0].Version == "" {
			t.Errorf("%+v", all)
		}
	})
	t.Run("doctor", func(t *testing.T) {
		all := decode[[]doctor.Line](t, bench(t, dir, []string{"doctor", "--json", "--no-probe"}, 0))
		if len(all) != 1 || len(all[0]) < 8 || doctor.Count(all[0], doctor.Fail) != 0 {
			t.Fatalf("%+v", all)
		}
		for _, l := range all[0] {
			if l.Section == "" || l.Name == "" || l.Seen == "" || (l.Level == doctor.OK) != (l.Fix == "") {
				t.Errorf("%+v", l)
			}
		}
	})
}
