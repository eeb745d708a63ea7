//! Causes in what pods and nodes run out of.

super::group![cpu_throttled, hpa_at_max, node_notready, node_pressure, pid_limit, pod_oomkilled];
