module osm-pepr/hack/images/pause

go 1.21
