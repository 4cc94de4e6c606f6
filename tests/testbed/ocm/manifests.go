package main

import (
	"encoding/base64"
	"fmt"
	"io/fs"
	"os"
	"path"
	"text/template"

	"github.com/spf13/cobra"

	"open-cluster-management.io/ocm/manifests"
)

// The CRDs and rights that OCM's operators install beside their Deployments, by file.
var files = map[string]func() ([]string, fs.FS){
	"hub": func() ([]string, fs.FS) {
		return hubFiles, manifests.ClusterManagerManifestFiles
	},
	"managed": func() ([]string, fs.FS) {
		return []string{
			"klusterlet/managed/*.yaml",
			"klusterlet/management/*role*.yaml",
		}, manifests.KlusterletManifestFiles
	},
}

// The values of the operators' templates for an installation with default names.
var values = map[string]any{
	"ClusterManagerName":                "cluster-manager",
	"ClusterManagerNamespace":           "open-cluster-management-hub",
	"ManagedClusterIdentityCreatorRole": "",
	"ClusterImporterEnabled":            false,
	"ClusterProfileEnabled":             false,
	"GRPCAuthEnabled":                   false,
	"KlusterletName":                    "klusterlet",
	"KlusterletNamespace":               "open-cluster-management-agent",
	"AgentNamespace":                    "open-cluster-management-agent",
	"RegistrationServiceAccount":        "klusterlet-registration-sa",
	"WorkServiceAccount":                "klusterlet-work-sa",
	"ManagedClusterRoleArn":             "",
	"RegistrationDriver":                map[string]string{"AuthType": ""},
	"Labels":                            map[string]string{},
}

func newManifests() *cobra.Command {
	command := &cobra.Command{
		Use:  "manifests hub|managed",
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error { return print(args[0]) },
	}
	command.Flags().Var(&authority{}, "webhook-authority", "the certificate of the authority of OCM's webhooks")
	return command
}

// A flag that names a file and sets the value with its content.
type authority struct{}

func (*authority) Set(file string) error {
	certificate, err := os.ReadFile(file)
	values["AddonAPIServiceCABundle"] = base64.StdEncoding.EncodeToString(certificate)
	return err
}

func (*authority) String() string { return "" }
func (*authority) Type() string   { return "file" }

func print(side string) error {
	list := files[side]
	if list == nil {
		return fmt.Errorf("no manifests of %q, only of hub and managed", side)
	}
	patterns, source := list()
	for _, pattern := range patterns {
		names, err := fs.Glob(source, pattern)
		if err != nil || len(names) == 0 {
			return fmt.Errorf("find %s: %d files, %v", pattern, len(names), err)
		}
		for _, name := range names {
			if err := render(source, name); err != nil {
				return err
			}
		}
	}
	return nil
}

func render(source fs.FS, name string) error {
	text, err := template.New(path.Base(name)).ParseFS(source, name)
	if err != nil {
		return err
	}
	fmt.Println("---")
	if err := text.Option("missingkey=error").Execute(os.Stdout, values); err != nil {
		return err
	}
	fmt.Println()
	return nil
}
