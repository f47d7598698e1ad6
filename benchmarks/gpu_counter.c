/* The fake NVIDIA driver of the tests, with an energy counter that follows the page of steps.h.
 *
 * Compiled with GPU_STEPS (the page) and GPU_REFRESH_NS: the counter shows the energy drawn until the last multiple of
 * the refresh period on CLOCK_MONOTONIC.
 */
#define now_ns now_of_the_fake
#define nvmlDeviceGetTotalEnergyConsumption energy_of_the_fake
#include "../tests/fixtures/nvml/fake_nvml.c"
#undef now_ns
#undef nvmlDeviceGetTotalEnergyConsumption
#include "steps.h"

int nvmlDeviceGetTotalEnergyConsumption(void *device, uint64_t *millijoules)
{
    static struct steps *steps;
    char value[LONGEST_LINE];
    int result = answer(__func__, number_of(device), __func__, value);
    if (result != SUCCESS && result != NOT_SUPPORTED)
        return result;
    pthread_mutex_lock(&lock);
    if (!steps)
        steps = open_steps(GPU_STEPS);
    pthread_mutex_unlock(&lock);
    int64_t until = now_ns() / (GPU_REFRESH_NS) * (GPU_REFRESH_NS);
    uint64_t count = __atomic_load_n(&steps->count, __ATOMIC_ACQUIRE);
    double joules = 1000;
    for (uint64_t i = 0; i < count && steps->step[i].at_ns < until; i++) {
        int64_t next = i + 1 < count ? steps->step[i + 1].at_ns : INT64_MAX;
        joules += steps->step[i].watts * 1e-9 * ((next < until ? next : until) - steps->step[i].at_ns);
    }
    *millijoules = (uint64_t)(joules * 1e3);
    return SUCCESS;
}
