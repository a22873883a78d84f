//! What Meshlite reads from and writes to a Kubernetes API server.
