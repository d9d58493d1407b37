module osm-pepr/test/bench/load

go 1.21
