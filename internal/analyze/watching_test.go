package analyze

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/phasebench/phasebench/internal/record"
)

// watched returns rows whose steps of 1 ms are held up for up to 30 ms once in 200
// steps, and by a part more in which power was read, every 20 ms or so.
func watched(seed uint64, rows int, slowerByRead float64) ([]record.Record, PowerReads) {
	r := rand.New(rand.NewPCG(seed, 0))
	var at []int64
	for ns := int64(1e9); ns < int64(float64(rows)*0.8e9)+2e9; ns += 20e6 + int64(r.IntN(400_000)) {
		at = append(at, ns)
	}
	var out []record.Record
	ns, next := int64(1e9), 0
	for rep := range rows {
		row := okRow("m", "b", 0, rep, 5, 1)
		row.DeviceKind, row.StartNs = "gpu", ns
		row.Timestamp = time.Unix(1e9, ns)
		ns += 5e6
		for next < len(at) && at[next] < ns {
			next++
		}
		row.StepMs = make([]float64, 256)
		total := 0.0
		for i := range row.StepMs {
			ms := 1 + 0.02*r.Float64()
			if r.IntN(200) == 0 {
				ms += 30 * r.Float64()
			}
			if next < len(at) && at[next] < ns+int64(ms*1e6) {
				ms *= 1 + slowerByRead
			}
			ns += int64(ms * 1e6)
			for next < len(at) && at[next] < ns {
				next++
			}
			row.StepMs[i] = ms
			total += ms
		}
		row.DecodeMs, row.GenTokens = &total, len(row.StepMs)
		ns += 50e6
		out = append(out, row)
	}
	return out, PowerReads{AtNs: map[string][]int64{"gpu": at}}
}

// What reads cost is found beside stalls that have nothing to do with them, and
// the interval holds it as often as it says.
func TestWatchingCost(t *testing.T) {
	for _, slower := range []float64{0, 0.2, 6} {
		const runs = 60
		held, naive := 0, 0.0
		for seed := range uint64(runs) {
			rows, reads := watched(seed, 60, slower)
			got := analyzed(t, rows, Options{PowerReads: reads}).Watching
			if len(got) != 1 || got[0].Rows != 60 || got[0].Steps != 60*254 {
				t.Fatalf("%+v", got)
			}
			c := got[0]
			// The part of all steps in which power was read, and slower for it.
			total := 0.0
			for _, r := range rows {
				total += *r.DecodeMs
			}
			want := 100 * slower * 1.01 * float64(c.Read) / total
			if math.Abs(c.Pct-want) <= c.Half*1.05 {
				held++
			}
			by := 0.0
			for i := range rows {
				x, _ := heldUp(rows[i].StepMs, float64(rows[i].StartNs)+*rows[i].PrefillMs*1e6, reads.AtNs["gpu"], 0, 1.01)
				by += x
			}
			naive += 100 * by / total / runs
		}
		if held < runs*85/100 {
			t.Errorf("slower by %g: %d of %d intervals hold the cost", slower, held, runs)
		}
		if naive < 1 {
			t.Errorf("the stalls put %.2f %% into steps in which power was read: too little for this test", naive)
		}
	}
}

func TestWatchingTold(t *testing.T) {
	cpu, _ := watched(1, 20, 0.2)
	for i := range cpu {
		cpu[i].DeviceKind = "cpu"
	}
	long, _ := watched(1, 20, 0.2)
	for i := range long {
		for k := range long[i].StepMs {
			long[i].StepMs[k] *= 6
		}
	}
	slow, _ := watched(1, 300, 0.4)
	fast, reads := watched(1, 300, 0)
	other, _ := watched(1, 20, 0.4)
	for i := range other {
		other[i].RunID = "other"
	}
	reads.RunID = other[0].RunID + "not"
	none := reads
	reads.RunID = ""
	for _, tc := range []struct {
		name  string
		rows  []record.Record
		reads PowerReads
		want  Outcome
	}{
		{"slower", slow, reads, Warn},
		{"not slower", fast, reads, Pass},
		{"on a device that was not watched", cpu, reads, Untested},
		{"steps as long as the time between readings", long, reads, Untested},
		{"few readings", slow[:1], reads, Untested},
		{"of another run", other, none, Untested},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a := analyzed(t, tc.rows, Options{PowerReads: tc.reads})
			for _, c := range a.Checks {
				if c.Name == "reading power" && c.Outcome != tc.want {
					t.Errorf("%+v, want %s; %s", c, tc.want, fmt.Sprint(a.Watching))
				}
			}
		})
	}
}
