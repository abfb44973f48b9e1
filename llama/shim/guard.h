// What every entry of the shim shares: engine log lines and failures end up in
// a pb_error, and nothing else leaves.
#pragma once

#include "shim.h"

#include <string>

namespace pb {

// Thrown instead of returning to a failed assertion of the engine.
struct assertion {
    std::string text;
};

// Thrown by shim code; fail() fills the error from it.
struct failure {
    pb_code code;
    std::string text;
};

// Routes the engine's log and its assertions here. Called by pb_init.
void install_hooks();

// Writes code, text and the engine's last warnings and errors into err.
void fail(pb_error *err, pb_code code, const std::string &text);

// Whether the engine's last warnings and errors tell of an allocation that
// failed. It then returns NULL or stops on an assertion.
bool told_of_no_memory();

// Forgets the lines of this thread; each guarded call starts with none.
void forget_log();

// Runs body, which throws pb::failure or returns a value; on any failure err
// is filled and bad is returned.
template <typename T, typename F> T guarded(pb_error *err, T bad, F body);

void explain_current_exception(pb_error *err);

template <typename T, typename F> T guarded(pb_error *err, T bad, F body) {
    try {
        forget_log();
        return body();
    } catch (...) {
        explain_current_exception(err);
        return bad;
    }
}

} // namespace pb
