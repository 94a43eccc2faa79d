// The library that missing_dependency.cpp is linked to and does not find.
extern "C" __attribute__((visibility("default"))) int rondo_vendor_version();
int rondo_vendor_version() { return 9; }
