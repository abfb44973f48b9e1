package measure

import (
	"bufio"
	"fmt"
	"os"
	"strings"
)

// residentBytes returns the peak and the present resident size of this process.
func residentBytes() (peak, now int64, err error) {
	f, err := os.Open("/proc/self/status")
	if err != nil {
		return 0, 0, err
	}
	defer f.Close()
	for sc := bufio.NewScanner(f); sc.Scan(); {
		key, value, _ := strings.Cut(sc.Text(), ":")
		var kib int64
		switch key {
		case "VmHWM":
			_, err = fmt.Sscanf(value, "%d kB", &kib)
			peak = kib << 10
		case "VmRSS":
			_, err = fmt.Sscanf(value, "%d kB", &kib)
			now = kib << 10
		}
		if err != nil {
			return 0, 0, fmt.Errorf("/proc/self/status: %s: %w", key, err)
		}
	}
	return peak, now, nil
}
