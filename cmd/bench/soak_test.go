package main

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/phasebench/phasebench/internal/promise"
	"github.com/phasebench/phasebench/internal/record"
)

// soakMatrix has cells of one to two seconds, many of them, since one that costs
// two workers is given up until the run is resumed.
const soakMatrix = `
name: soak
repetitions: 1
launches: %d
models: [{name: tiny-gpt2, synth: tiny-gpt2}, {name: tiny-llama, synth: tiny-llama}]
backends: [{name: cpu, device: cpu, threads: 1, warmup: 0}]
kv_types: [f16, f32]
scenarios: [{name: a, prompt_tokens: 32, gen_tokens: 400}, {name: b, prompt_tokens: 64, gen_tokens: 500}, {name: c, prompt_tokens: 96, gen_tokens: 600}]
energy: {windows: 0, idle_s: 0, roofline: false}
`

const soakKillEvery = 30 * time.Second

// A long run beside something that kills.
func TestSoak(t *testing.T) {
	promise.Of(t, "a long run whose workers are killed again and again", "`make soak`: SIGKILL to the worker every 30 s on average, at random times, and once to the run itself",
		"after --resume every planned row is there once, with the tokens that its cell always has; no process is left")
	length, err := time.ParseDuration(os.Getenv("SOAK"))
	if err != nil {
		t.Skip("it takes as long as it is given: set SOAK=45m, as make soak does")
	}
	dir := workspace(t)
	out := filepath.Join(dir, "out")
	matrix := func(launches int) {
		write(t, filepath.Join(dir, "soak.yaml"), fmt.Appendf(nil, soakMatrix, launches))
	}
	matrix(1)
	begun := time.Now()
	bench(t, dir, []string{"-matrix", "soak.yaml", "-o", "one", "--no-kv", "-q"}, 0)
	launches := max(2, int(3*length/(2*time.Since(begun)))) // the first made the model, and the machine may get faster
	tokens := map[string]string{}                           // by cell
	for _, r := range rows(t, filepath.Join(dir, "one")) {
		tokens[r.CellID] = r.TokenHash
	}
	matrix(launches)

	rng := rand.New(rand.NewPCG(8, uint64(begun.UnixNano())))
	kills := 0
	// beside kills workers until the run ends or the time is over.
	beside := func(p *process, until time.Time) (ended bool) {
		done := make(chan struct{})
		go func() { p.Wait(); close(done) }()
		for {
			next := time.Duration((0.5 + rng.Float64()) * float64(soakKillEvery))
			select {
			case <-done:
				return true
			case <-time.After(min(next, time.Until(until))):
			}
			if !time.Now().Before(until) {
				send(t, p.Process.Pid, syscall.SIGKILL)
				<-done
				return false
			}
			for _, worker := range p.workers() {
				if syscall.Kill(worker, syscall.SIGKILL) == nil {
					kills++
				}
			}
		}
	}
	begun = time.Now()
	resume := []string{"--resume", "out", "--no-kv", "-q"}
	if beside(start(t, dir, "-matrix", "soak.yaml", "-o", "out", "--no-kv", "-q"), begun.Add(length/2)) {
		t.Fatal("the run ended before it could be killed")
	}
	before := lines(t, out)
	p := start(t, dir, resume...)
	beside(p, begun.Add(10*length))
	if code := p.ProcessState.ExitCode(); code != exitOK && code != exitFailed {
		t.Fatalf("%v\n%s", p.ProcessState, p.printed())
	}
	if !bytes.HasPrefix(lines(t, out), before) {
		t.Error("rows that were there have changed")
	}
	bench(t, dir, resume, 0) // for cells that were given up
	took := time.Since(begun)
	noOrphans(t, dir)

	all := rows(t, out)
	lost := len(errorRows(all))
	planned := launches * len(tokens)
	for key, outcome := range outcomes(t, out) {
		if !strings.HasPrefix(outcome, string(record.StatusOK)+" ") || !strings.HasSuffix(outcome, tokens[key.CellID]) {
			t.Errorf("%+v: %s, want tokens %s", key, outcome, tokens[key.CellID])
		}
	}
	if n := len(outcomes(t, out)); n != planned {
		t.Errorf("%d rows, want %d", n, planned)
	}
	if kills == 0 || lost == 0 || lost > kills {
		t.Errorf("%d kills and %d rows lost to them", kills, lost)
	}
	promise.Tries(t, kills+1)
	t.Log(strings.Join([]string{took.Round(time.Second).String(), strconv.Itoa(planned) + " rows", strconv.Itoa(kills) + " kills", strconv.Itoa(lost) + " rows lost and measured again"}, ", "))
}
