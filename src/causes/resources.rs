//! Causes in what pods and nodes run out of.

super::group![pod_oomkilled];
