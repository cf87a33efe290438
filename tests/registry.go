// A registry with the referrers API: serve ADDRESS FOLDER. Blobs are kept in the folder, manifests in memory.
// go-containerregistry's own command for it, `crane registry serve`, leaves that API off.
package main

import (
	"log"
	"net/http"
	"os"

	"github.com/google/go-containerregistry/pkg/registry"
)

func main() {
	blobs := registry.NewDiskBlobHandler(os.Args[2])
	handler := registry.New(registry.WithReferrersSupport(true), registry.WithBlobHandler(blobs))
	log.Fatal(http.ListenAndServe(os.Args[1], handler))
}
