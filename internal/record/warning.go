package record

// ForeignWarning begins the warning of a row that was measured while another
// process computed on the GPU; the processes follow.
const ForeignWarning = "another process computes on the GPU"

// DegradedWarning begins the warning that says why a row is flagged as degraded.
const DegradedWarning = "degraded: "
