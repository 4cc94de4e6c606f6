// Open Cluster Management's hub controllers and klusterlet agents of this release, unchanged, in one program.
// Its first argument chooses one.
package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/component-base/cli"

	ocmfeature "open-cluster-management.io/api/feature"

	"open-cluster-management.io/ocm/pkg/cmd/hub"
	"open-cluster-management.io/ocm/pkg/cmd/spoke"
	"open-cluster-management.io/ocm/pkg/features"
)

// Feature gates are global, and constructing two commands adds some twice. Therefore only the chosen one is constructed.
var commands = map[string]func() *cobra.Command{
	"hub-registration":   hub.NewRegistrationController,
	"hub-placement":      hub.NewPlacementController,
	"hub-addon":          hub.NewAddonManager,
	"spoke-registration": spoke.NewRegistrationAgent,
	"spoke-work":         spoke.NewWorkAgent,
	"manifests":          newManifests,
}

func main() {
	if len(os.Args) < 2 || commands[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "the first argument must be one of the commands in main.go")
		os.Exit(2)
	}
	utilruntime.Must(features.HubMutableFeatureGate.Add(ocmfeature.DefaultHubRegistrationFeatureGates))
	utilruntime.Must(features.HubMutableFeatureGate.Add(ocmfeature.DefaultHubWorkFeatureGates))
	command := commands[os.Args[1]]()
	command.SetArgs(os.Args[2:])
	os.Exit(cli.Run(command))
}
