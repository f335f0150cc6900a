// The native tests that the sanitizers run (tox -e sanitize).
#include <cstdio>

void test_engines();
void test_thread_pool();

int main() {
    test_engines();
    test_thread_pool();
    std::puts("all native tests passed");
}
