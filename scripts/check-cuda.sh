#!/usr/bin/env bash
# Prints the path of nvcc, or says what a CUDA build still needs.
set -euo pipefail

case ${1-} in
    -h | --help)
        echo "usage: scripts/check-cuda.sh"
        echo "Prints the path of a usable CUDA compiler, or says what is missing and exits 1."
        exit 0
        ;;
    '') ;;
    *) echo "usage: scripts/check-cuda.sh" >&2; exit 2 ;;
esac

for nvcc in "${CUDACXX-}" "$(command -v nvcc || true)" "${CUDA_HOME-/usr/local/cuda}/bin/nvcc" /usr/local/cuda/bin/nvcc; do
    if [ -n "$nvcc" ] && "$nvcc" --version >/dev/null 2>&1; then
        echo "$nvcc"
        exit 0
    fi
done
cat >&2 <<'TEXT'
make cuda: no CUDA compiler found (nvcc).
  looked in: $CUDACXX, PATH, $CUDA_HOME/bin, /usr/local/cuda/bin
  needed:    the NVIDIA CUDA toolkit 12 or newer, matching the driver
             (Ubuntu: nvidia-cuda-toolkit, or NVIDIA's own cuda-toolkit package)
  then:      make cuda, or CUDACXX=/path/to/nvcc make cuda
  without a GPU: make cpu
TEXT
exit 1
