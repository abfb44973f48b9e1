package matrix

import "maps"

// graphsOffEnv is the engine's switch for CUDA graphs. The engine looks only at
// whether it is set: any value, even 0, turns graphs off.
const graphsOffEnv = "GGML_CUDA_DISABLE_GRAPHS"

// EngineEnv returns the environment variables that a worker for b must be
// started with, since the engine reads its switches once per process: the one
// for Graphs and the entries of Env, which win. The map is the caller's and is
// never nil.
func (b Backend) EngineEnv() map[string]string {
	env := map[string]string{}
	if b.Graphs != nil && !*b.Graphs {
		env[graphsOffEnv] = "1"
	}
	maps.Copy(env, b.Env)
	return env
}
