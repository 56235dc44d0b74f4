"""KECode: Java functions translated to D, judged by compiling and running them, and clustered by what failed."""
