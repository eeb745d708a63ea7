//! Causes in endpoints, their probes and the life of pods.

super::group![eps_all_not_ready];
