"""What computes: devices, threads, compiled kernels."""
