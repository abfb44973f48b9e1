package doctor

import (
	"cmp"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/phasebench/phasebench/internal/environ"
	"github.com/phasebench/phasebench/internal/wire"
)

// Engine checks what the engine found on a machine m whose file system is at
// root, "/" for this one. found and err are what a survey of the devices
// returned.
func Engine(root string, m environ.Machine, found wire.DevicesReply, err error) []Line {
	s := section{name: "engine"}
	if err != nil {
		s.fail("start", "make cpu", "%v", err)
		return s.lines
	}
	folder, modules := engineModules(root)
	s.ok("version", "%s, backends %s in %s", found.Version, strings.Join(modules, ", "), cmp.Or(folder, "a folder that cannot be told"))
	for _, d := range found.Devices {
		s.ok(d.Name, "%s, %d of %d MiB free", d.Description, d.FreeBytes/mib, d.TotalBytes/mib)
	}
	if CUDA(found.Devices) != nil {
		return s.lines
	}
	card, driver := nvidiaCard(root), m.NvidiaDriver
	switch built := slices.Contains(modules, "cuda"); {
	case card == "" && driver == "":
		s.ok("CUDA", "no NVIDIA GPU here: cells of CUDA backends are skipped")
	case driver == "":
		s.warn("CUDA", "install the NVIDIA driver, then make cuda", "an NVIDIA card at PCI %s, but no driver of NVIDIA's is loaded", card)
	case !built:
		s.warn("CUDA", "make cuda", "NVIDIA driver %s, but the engine was built without its CUDA backend", driver)
	default:
		s.warn("CUDA", "look at nvidia-smi and at CUDA_VISIBLE_DEVICES; in a container, run it with --gpus all. A driver older than the CUDA toolkit that make cuda used shows no device either",
			"NVIDIA driver %s and the CUDA backend are there, but the engine sees no GPU", driver)
	}
	return s.lines
}

// CUDA returns the device that CUDA backends measure, the first; nil if there
// is none.
func CUDA(devices []wire.Device) *wire.Device {
	i := slices.IndexFunc(devices, func(d wire.Device) bool { return d.Kind == "gpu" && d.Backend == "CUDA" })
	if i < 0 {
		return nil
	}
	return &devices[i]
}

// engineModules returns the folder that this process has the engine from and
// the backends there, by the names of their libraries.
func engineModules(root string) (folder string, modules []string) {
	maps, _ := os.ReadFile(filepath.Join(root, "proc/self/maps"))
	for line := range strings.Lines(string(maps)) {
		if i := strings.Index(line, "/"); i >= 0 && strings.HasSuffix(strings.TrimSpace(line), "/libphasebench_shim.so") {
			folder = filepath.Dir(strings.TrimSpace(line[i:]))
			break
		}
	}
	if folder == "" {
		return "", nil
	}
	files, _ := filepath.Glob(filepath.Join(folder, "libggml-*.so"))
	for _, f := range files {
		if name := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(f), "libggml-"), ".so"); name != "base" {
			modules = append(modules, name)
		}
	}
	return folder, modules
}

// nvidiaCard returns the PCI address of an NVIDIA display controller, "" if
// none is seen.
func nvidiaCard(root string) string {
	vendors, _ := filepath.Glob(filepath.Join(root, "sys/bus/pci/devices/*/vendor"))
	for _, f := range vendors {
		dir := filepath.Dir(f)
		if firstLine(f) == "0x10de" && strings.HasPrefix(firstLine(filepath.Join(dir, "class")), "0x03") {
			return filepath.Base(dir)
		}
	}
	return ""
}

func firstLine(path string) string {
	data, _ := os.ReadFile(path)
	first, _, _ := strings.Cut(string(data), "\n")
	return strings.TrimSpace(first)
}
