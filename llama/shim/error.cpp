// Failures: engine log lines, assertions and exceptions become a pb_error.

#include "guard.h"

#include "ggml.h"
#include "llama.h"

#include <cstdio>
#include <cstring>
#include <deque>
#include <mutex>
#include <new>

namespace pb {
namespace {

constexpr size_t kept_lines = 6;

std::mutex log_mutex;
std::deque<std::string> log_lines;
std::string partial;

void on_log(ggml_log_level level, const char *text, void *) {
    static thread_local bool keeping = false;
    if (level != GGML_LOG_LEVEL_CONT) {
        keeping = level == GGML_LOG_LEVEL_ERROR || level == GGML_LOG_LEVEL_WARN;
    }
    if (!keeping) {
        return;
    }
    std::lock_guard<std::mutex> lock(log_mutex);
    partial += text;
    for (size_t end; (end = partial.find('\n')) != std::string::npos; partial.erase(0, end + 1)) {
        if (end > 0) {
            log_lines.push_back(partial.substr(0, end));
        }
        if (log_lines.size() > kept_lines) {
            log_lines.pop_front();
        }
    }
    if (partial.size() > 4096) {
        partial.clear();
    }
}

void on_abort(const char *text) { throw assertion{text ? text : "unknown"}; }

} // namespace

void install_hooks() {
    llama_log_set(on_log, nullptr);
    ggml_set_abort_callback(on_abort);
}

void forget_log() {
    std::lock_guard<std::mutex> lock(log_mutex);
    log_lines.clear();
    partial.clear();
}

void fail(pb_error *err, pb_code code, const std::string &text) {
    std::string all = text;
    {
        std::lock_guard<std::mutex> lock(log_mutex);
        for (const auto &line : log_lines) {
            all += "\n  engine: " + line;
        }
    }
    err->code = code;
    std::snprintf(err->message, sizeof err->message, "%s", all.c_str());
}

void explain_current_exception(pb_error *err) {
    try {
        throw;
    } catch (const failure &f) {
        fail(err, f.code, f.text);
    } catch (const assertion &a) {
        fail(err, PB_ASSERT, "the engine stopped on an assertion: " + a.text);
    } catch (const std::bad_alloc &) {
        fail(err, PB_MEMORY, "out of host memory");
    } catch (const std::exception &e) {
        fail(err, PB_ENGINE, e.what());
    } catch (...) {
        fail(err, PB_ENGINE, "unknown failure");
    }
}

} // namespace pb
