// Renders a folder with kustomize, and holds every object to the types of Kubernetes and KEDA: a field that is unknown, twice
// there or of another type is an error. Prints the kind and the name of each, and then the whole.
//
//	manifests FOLDER
package main

import (
	"bytes"
	"fmt"
	"os"

	keda "github.com/kedacore/keda/v2/apis/keda/v1alpha1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

func check(folder string) error {
	known := runtime.NewScheme()
	if err := scheme.AddToScheme(known); err != nil {
		return err
	}
	if err := keda.AddToScheme(known); err != nil {
		return err
	}
	strict := serializer.NewCodecFactory(known, serializer.EnableStrict).UniversalDeserializer()
	rendered, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), folder)
	if err != nil {
		return err
	}
	all, err := rendered.AsYaml()
	if err != nil {
		return err
	}
	for _, text := range bytes.Split(all, []byte("\n---\n")) {
		object, kind, err := strict.Decode(text, nil, nil)
		if err != nil {
			return fmt.Errorf("%w in:\n%s", err, text)
		}
		named, err := meta.Accessor(object)
		if err != nil {
			return err
		}
		fmt.Printf("%s %s\n", kind.Kind, named.GetName())
	}
	fmt.Printf("---\n%s", all)
	return nil
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "manifests FOLDER")
		os.Exit(2)
	}
	if err := check(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
