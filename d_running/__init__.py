"""KECode: Java functions translated to D, judged by compiling and running them, and clustered by what failed."""

from util.packages import explain_missing_packages

explain_missing_packages()
