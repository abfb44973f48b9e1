package doctor

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/phasebench/phasebench/internal/matrix"
	"github.com/phasebench/phasebench/internal/models"
	"github.com/phasebench/phasebench/internal/power"
)

// slowSync is the latency of fsync above which a night's rows wait for the disk
// noticeably: 10 000 of them for 8 minutes.
const slowSync = 50 * time.Millisecond

// littleBytes is what ought to be free where no matrix says what is needed.
const littleBytes = 1 << 30

// Disk checks the folder that runs are written to, which need not be there yet.
// rows and needBytes are of the run, 0 if not known.
func Disk(folder string, rows int, needBytes int64) []Line {
	s := section{name: "disk"}
	at, err := existing(folder)
	var took []time.Duration
	if err == nil {
		took, err = syncs(at)
	}
	if err != nil {
		s.fail("results", "give the run another folder with -o, or make this one writable", "%s: %v", folder, err)
		return s.lines
	}
	s.ok("results", "%s can be written", folder)
	median := took[len(took)/2]
	cost := ""
	if rows > 0 {
		cost = fmt.Sprintf(": %v for the %d rows", (time.Duration(rows) * median).Round(time.Millisecond), rows)
	}
	s.check(median > slowSync, "fsync", "write to a local disk; every row waits for it, between the times that are measured",
		"median %v, at most %v%s", median.Round(10*time.Microsecond), took[len(took)-1].Round(10*time.Microsecond), cost)
	var stat unix.Statfs_t
	if err := unix.Statfs(at, &stat); err != nil {
		s.ok("space", "how much is free is not told: %v", err)
		return s.lines
	}
	s.space(int64(stat.Bavail)*stat.Bsize, needBytes)
	return s.lines
}

func (s *section) space(freeBytes, needBytes int64) {
	const fix = "free some, or give the run a folder on another disk with -o"
	switch {
	case needBytes == 0:
		s.check(freeBytes < littleBytes, "space", fix, "%d MiB free", freeBytes/mib)
	case freeBytes < needBytes:
		s.fail("space", fix, "%d MiB free, the run may take %d", freeBytes/mib, needBytes/mib)
	default:
		s.check(freeBytes < 2*needBytes, "space", fix, "%d MiB free, the run takes %d at most", freeBytes/mib, needBytes/mib)
	}
}

// existing returns the folder or the nearest one above it that is there.
func existing(folder string) (string, error) {
	at, err := filepath.Abs(folder)
	for err == nil {
		var info os.FileInfo
		if info, err = os.Stat(at); err == nil && !info.IsDir() {
			return "", &fs.PathError{Op: "write to", Path: at, Err: unix.ENOTDIR}
		}
		if !errors.Is(err, fs.ErrNotExist) {
			break
		}
		at, err = filepath.Dir(at), nil
	}
	return at, err
}

// syncs appends lines to a new file in dir, each followed by fsync as a run's
// rows are, and returns how long each took, in order of length. The file is
// removed.
func syncs(dir string) (took []time.Duration, err error) {
	f, err := os.CreateTemp(dir, ".doctor-*")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close(), os.Remove(f.Name())) }()
	line := make([]byte, 2048)
	for range 16 {
		start := time.Now()
		if _, err := f.Write(line); err != nil {
			return nil, err
		}
		if err := f.Sync(); err != nil {
			return nil, err
		}
		took = append(took, time.Since(start))
	}
	slices.Sort(took)
	return took, nil
}

// reportBytes bounds what tables, plots and reports of a run take together.
const reportBytes = 32 << 20

// RunBytes returns what the run of a plan may write at most, with the stand-ins
// for models that it has to make. A row is a few kilobytes and a number for each
// step, in warm-ups one more.
func RunBytes(p *matrix.Plan, found models.Found) int64 {
	const perRow, perStep = 4 << 10, 40
	total := int64(power.MaxFileBytes + reportBytes)
	for _, m := range found.StandIns {
		if !m.There {
			total += m.RoomBytes()
		}
	}
	for _, c := range p.Cells {
		row := int64(perRow + perStep*c.Scenario.GenTokens)
		rows := (p.Spec.Repetitions + c.Backend.Warmup) * p.Spec.Launches
		total += row * int64(rows)
		if p.Spec.Energy.Covers(c.Scenario.Name) {
			total += 2 * perRow * int64(p.Spec.Energy.Windows)
		}
	}
	return total
}
