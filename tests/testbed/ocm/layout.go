//go:build !newest

package main

var hubFiles = []string{
	"cluster-manager/hub/*.crd.yaml",
	"cluster-manager/hub/cluster-manager-addon-manager-*.yaml",
	"cluster-manager/hub/cluster-manager-placement-*.yaml",
	"cluster-manager/hub/cluster-manager-registration-cluster*.yaml",
	"cluster-manager/hub/cluster-manager-work-executor-admin-clusterrole.yaml",
}
