package doctor

import (
	"errors"
	"strings"
	"testing"

	"github.com/phasebench/phasebench/internal/environ"
	"github.com/phasebench/phasebench/internal/wire"
)

var (
	cpuDevice  = wire.Device{Name: "CPU", Kind: "cpu", Backend: "CPU", Description: "AMD EPYC", FreeBytes: 3 << 30, TotalBytes: 4 << 30}
	cudaDevice = wire.Device{Name: "CUDA0", Kind: "gpu", Backend: "CUDA", Description: "NVIDIA H200", PCIBusID: "0000:1b:00.0", FreeBytes: 139 << 30, TotalBytes: 140 << 30}
)

const (
	driverFile = "-- proc/driver/nvidia/version --\nNVRM version: NVIDIA UNIX x86_64 Kernel Module  580.95.05  Release Build\n"
	cardFiles  = "-- sys/bus/pci/devices/0000:00:1f.0/vendor --\n0x8086\n-- sys/bus/pci/devices/0000:00:1f.0/class --\n0x060100\n" +
		"-- sys/bus/pci/devices/0000:1b:00.0/vendor --\n0x10de\n-- sys/bus/pci/devices/0000:1b:00.0/class --\n0x030200\n"
	bridgeFiles = "-- sys/bus/pci/devices/0000:05:00.0/vendor --\n0x10de\n-- sys/bus/pci/devices/0000:05:00.0/class --\n0x068000\n" // an NVSwitch
)

func TestEngine(t *testing.T) {
	for _, tc := range []struct {
		name    string
		files   string
		modules []string
		devices []wire.Device
		cuda    []want // lines about it
	}{
		{"no GPU", "", []string{"cpu"}, []wire.Device{cpuDevice}, []want{{"CUDA", OK, "no NVIDIA GPU", ""}}},
		{"NVIDIA, but not a GPU", bridgeFiles, []string{"cpu"}, []wire.Device{cpuDevice}, []want{{"CUDA", OK, "no NVIDIA GPU", ""}}},
		{"no driver", cardFiles, []string{"cpu"}, []wire.Device{cpuDevice}, []want{{"CUDA", Warn, "card at PCI 0000:1b:00.0, but no driver", "install the NVIDIA driver"}}},
		{"not built for it", cardFiles + driverFile, []string{"cpu"}, []wire.Device{cpuDevice}, []want{{"CUDA", Warn, `driver 580\.95\.05, but the engine was built without`, "^make cuda$"}}},
		{"built, but not seen", driverFile, []string{"cpu", "cuda"}, []wire.Device{cpuDevice}, []want{{"CUDA", Warn, "the engine sees no GPU", "CUDA_VISIBLE_DEVICES"}}},
		{"as it should be", cardFiles + driverFile, []string{"cpu", "cuda"}, []wire.Device{cpuDevice, cudaDevice}, []want{{"CUDA0", OK, "NVIDIA H200, 142336 of 143360 MiB free", ""}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			lib := t.TempDir()
			for _, m := range append(tc.modules, "base") {
				write(t, lib, "libggml-"+m+".so", "")
			}
			write(t, lib, "libllama.so", "")
			maps := "7f00-7f01 r--p 00000000 08:01 12 /usr/lib/libc.so.6\n7f02-7f03 r-xp 00000000 08:01 13                    " + lib + "/libphasebench_shim.so\n"
			root := tree(t, tc.files+"-- proc/self/maps --\n"+maps)
			wants := append([]want{
				{"version", OK, "^9.9, backends " + strings.Join(tc.modules, ", ") + " in " + lib + "$", ""},
				{"CPU", OK, "^AMD EPYC, 3072 of 4096 MiB free$", ""},
			}, tc.cuda...)
			check(t, Engine(root, environ.Collect(root), wire.DevicesReply{Version: "9.9", Devices: tc.devices}, nil), wants...)
		})
	}
}

func TestEngineThatDoesNotStart(t *testing.T) {
	lines := Engine(t.TempDir(), environ.Machine{}, wire.DevicesReply{}, errors.New("no usable CPU backend module"))
	check(t, lines, want{"start", Fail, "no usable CPU", "make cpu"})
}

// The test's own process has the shim mapped.
func TestOwnModules(t *testing.T) {
	folder, modules := engineModules("/")
	if folder == "" || len(modules) == 0 {
		t.Errorf("folder %q, modules %q", folder, modules)
	}
}
