//go:build newest

package main

import "open-cluster-management.io/ocm/pkg/cmd/webhook"

var hubFiles = []string{
	"cluster-manager/hub/crds/*.crd.yaml",
	"cluster-manager/hub/addon-manager/cluster*.yaml",
	"cluster-manager/hub/addon-manager/serviceaccount.yaml",
	"cluster-manager/hub/addon-manager/work-*.yaml",
	"cluster-manager/hub/placement/*.yaml",
	"cluster-manager/hub/registration/cluster*.yaml",
	"cluster-manager/hub/work/executor-admin-clusterrole.yaml",
}

// OCM 1.2 began to convert add-ons between v1alpha1 and v1beta1.
func init() {
	commands["hub-addon-webhook"] = webhook.NewAddonWebhook
}
