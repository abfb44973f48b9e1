// Failures: engine log lines, assertions and exceptions become a pb_error.

#include "guard.h"

#include "ggml.h"
#include "llama.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <exception>
#include <new>

namespace pb {
namespace {

constexpr size_t kept_lines = 6;
constexpr size_t longest_line = 4096;

// What the engine logged during the call in progress. Each thread has its own,
// so that calls at the same time neither clear nor mix each other's lines.
struct capture {
    bool keeping = false;
    std::string partial; // the engine hands over lines in pieces
    std::deque<std::string> lines;

    void end_line() {
        if (!partial.empty()) {
            lines.push_back(partial);
        }
        partial.clear();
        if (lines.size() > kept_lines) {
            lines.pop_front();
        }
    }
};

thread_local capture captured;

void on_log(ggml_log_level level, const char *text, void *) {
    if (level != GGML_LOG_LEVEL_CONT) {
        captured.keeping = level == GGML_LOG_LEVEL_ERROR || level == GGML_LOG_LEVEL_WARN;
    }
    for (; captured.keeping && *text; text++) {
        if (*text == '\n') {
            captured.end_line();
        } else if (captured.partial.size() < longest_line) {
            captured.partial += *text;
        }
    }
}

void on_abort(const char *text) { throw assertion{text ? text : "unknown"}; }

std::terminate_handler default_terminate = nullptr;

// An assertion on one of the engine's own threads has no caller to return to
// and ends the process; its text must be the last thing that is said.
[[noreturn]] void on_terminate() {
    try {
        if (std::current_exception()) {
            throw;
        }
    } catch (const assertion &a) {
        std::fprintf(stderr, "the engine stopped on an assertion: %s\n", a.text.c_str());
        std::abort();
    } catch (...) {
    }
    default_terminate();
    std::abort();
}

} // namespace

void install_hooks() {
    llama_log_set(on_log, nullptr);
    ggml_set_abort_callback(on_abort);
    static const bool once = (default_terminate = std::set_terminate(on_terminate), true);
    (void)once;
}

bool told_of_no_memory() {
    captured.end_line();
    for (const auto &line : captured.lines) {
        for (const char *words : {"failed to allocate", "unable to allocate", "insufficient memory", "out of memory", "bad_alloc"}) {
            if (line.find(words) != std::string::npos) {
                return true;
            }
        }
    }
    return false;
}

void forget_log() {
    captured.lines.clear();
    captured.partial.clear();
}

void fail(pb_error *err, pb_code code, const std::string &text) {
    captured.end_line();
    std::string all = text;
    for (const auto &line : captured.lines) {
        all += "\n  engine: " + line;
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
