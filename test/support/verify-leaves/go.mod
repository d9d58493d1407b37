module verify-leaves

go 1.21
