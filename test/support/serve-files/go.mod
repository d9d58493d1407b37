module serve-files

go 1.21
