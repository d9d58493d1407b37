// Serves the files of a folder by net/http: serve-files FOLDER PORT.
package main

import (
	"log"
	"net/http"
	"os"
)

func main() {
	log.Fatal(http.ListenAndServe("0.0.0.0:"+os.Args[2], http.FileServer(http.Dir(os.Args[1]))))
}
