#include "trace/trace-target_i386_sev.h"
