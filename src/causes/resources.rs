//! Causes in what pods and nodes run out of.

super::group![hpa_at_max, node_notready, node_pressure, pod_oomkilled];
