// Package testbed keeps Open Cluster Management's API module, whose CRD files the tests install, in go.mod.
package testbed

import _ "open-cluster-management.io/api/addon/v1alpha1"
