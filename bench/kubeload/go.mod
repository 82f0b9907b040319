module hythe/bench/kubeload

go 1.24.0
