// Backends: loading the modules and listing the devices they bring.

#include "engine.h"

#include "ggml-backend.h"
#include "llama.h"

#include <cstdio>
#include <dlfcn.h>

namespace {

void copy(char *to, size_t size, const char *from) { std::snprintf(to, size, "%s", from ? from : ""); }

// The folder this very library was loaded from: modules are looked for there
// and nowhere else, so what runs is what was built with it.
std::string own_folder() {
    Dl_info info;
    if (!dladdr(reinterpret_cast<void *>(&pb_init), &info) || !info.dli_fname) {
        throw pb::failure{PB_ENGINE, "cannot tell where the shim library was loaded from"};
    }
    const std::string path = info.dli_fname;
    const size_t slash = path.rfind('/');
    return slash == std::string::npos ? "." : path.substr(0, slash);
}

static_assert(int{PB_CPU} == GGML_BACKEND_DEVICE_TYPE_CPU && int{PB_GPU} == GGML_BACKEND_DEVICE_TYPE_GPU &&
                  int{PB_INTEGRATED_GPU} == GGML_BACKEND_DEVICE_TYPE_IGPU &&
                  int{PB_ACCELERATOR} == GGML_BACKEND_DEVICE_TYPE_ACCEL,
              "kinds of devices are numbered as the engine does");

} // namespace

std::string pb::free_on(ggml_backend_dev_t device) {
    if (!device) {
        return "";
    }
    size_t free = 0, total = 0;
    ggml_backend_dev_memory(device, &free, &total);
    const auto mib = [](size_t bytes) { return std::to_string(bytes >> 20) + " MiB"; };
    return ": " + mib(free) + " of " + mib(total) + " are free on " + ggml_backend_dev_description(device);
}

bool pb_init(pb_error *err) {
    pb::install_hooks();
    return pb::guarded(err, false, [] {
        const std::string folder = own_folder();
        ggml_backend_load_all_from_path(folder.c_str());
        llama_backend_init();
        if (!ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU)) {
            throw pb::failure{PB_ENGINE, "no usable CPU backend module in " + folder + ": run make cpu on this host"};
        }
        return true;
    });
}

int pb_device_count(void) { return static_cast<int>(ggml_backend_dev_count()); }

bool pb_device_get(int index, pb_device *out, pb_error *err) {
    return pb::guarded(err, false, [&] {
        if (index < 0 || index >= pb_device_count()) {
            throw pb::failure{PB_BAD_INPUT, "no device with this index"};
        }
        ggml_backend_dev_t dev = ggml_backend_dev_get(index);
        ggml_backend_dev_props props;
        ggml_backend_dev_get_props(dev, &props);
        *out = pb_device{};
        copy(out->name, sizeof out->name, props.name);
        copy(out->description, sizeof out->description, props.description);
        copy(out->backend, sizeof out->backend, ggml_backend_reg_name(ggml_backend_dev_backend_reg(dev)));
        copy(out->pci_bus_id, sizeof out->pci_bus_id, props.device_id);
        out->kind = static_cast<pb_device_kind>(props.type);
        out->free_bytes = static_cast<int64_t>(props.memory_free);
        out->total_bytes = static_cast<int64_t>(props.memory_total);
        return true;
    });
}

const char *pb_version(void) { return llama_version(); }

const char *pb_system_info(void) { return llama_print_system_info(); }
