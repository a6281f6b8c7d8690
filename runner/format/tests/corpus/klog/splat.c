// SPDX-License-Identifier: GPL-2.0-only
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/mm.h>
#include <linux/list.h>
#include <linux/refcount.h>
#include <linux/delay.h>
#include <linux/sched.h>
#include <linux/kthread.h>
#include <linux/vmalloc.h>
#include <linux/mutex.h>
#include <linux/smp.h>
static char *what = "";
module_param_named(do, what, charp, 0);
volatile int splat_sink;
static noinline void splat_warn(void) { WARN_ON(1); splat_sink++; }
static noinline void splat_warn_text(void) { WARN(1, "splat: %d pages of block %d are gone\n", 3, 7); splat_sink++; }
static noinline void splat_warn_once(void) { WARN_ON_ONCE(1); splat_sink++; }
static noinline void splat_bug(void) { splat_sink++; BUG(); }
static noinline void splat_null(void) { *(volatile int *)8 = 1; splat_sink++; }
static noinline void splat_null_read(void) { splat_sink = *(volatile int *)NULL; }
static noinline void splat_wild(void) { splat_sink = *(volatile int *)0x00700000deadb000UL; splat_sink++; }
static noinline void splat_wild_memset(void) { memset((void *)0x00700000deadb000UL, 255, splat_sink + 100000); splat_sink++; }
static noinline void splat_panic(void) { panic("splat: block %d at 0x%lx is lost", 3, 0x100000000UL); }
static noinline void splat_list(void) { struct list_head a, b; INIT_LIST_HEAD(&a); list_add(&b, &a); a.next = &a; list_del(&b); splat_sink++; }
static noinline void splat_refcount(void) { refcount_t r = REFCOUNT_INIT(0); refcount_inc(&r); splat_sink++; }
static noinline void splat_alloc(void) { int i; struct page *p; for (i = 0; i < 100000; i++) { p = alloc_pages(GFP_KERNEL | __GFP_NORETRY, 8); if (!p) break; } splat_sink++; }
static noinline void splat_hung(void) { __set_current_state(TASK_UNINTERRUPTIBLE); schedule_timeout(HZ * 14); splat_sink++; }
static noinline void splat_spin(void) { unsigned long end = jiffies + HZ * 25; preempt_disable(); while (time_before(jiffies, end)) { splat_sink++; } preempt_enable(); }
static struct rcu_head splat_head;
static void splat_done(struct rcu_head *h) { }
static noinline void splat_stall(void) { call_rcu(&splat_head, splat_done); splat_spin(); }
static noinline void splat_irqoff(void) { unsigned long i; local_irq_disable(); for (i = 0; i < 3000000000UL; i++) splat_sink++; local_irq_enable(); }
static noinline void splat_atomic(void) { preempt_disable(); msleep(10); preempt_enable(); splat_sink++; }
static noinline void splat_kfence(void) { int i; for (i = 0; i < 200; i++) { char *p = kmalloc(64, GFP_KERNEL); kfree(p); splat_sink += *(volatile char *)p; msleep(2); } }
static noinline void splat_kfence_oob(void) { int i; for (i = 0; i < 200; i++) { char *p = kmalloc(64, GFP_KERNEL); splat_sink += *(volatile char *)(p + 64); splat_sink += *(volatile char *)(p - 1); kfree(p);  msleep(2); } }
static noinline void splat_redzone(void) { char *p = kmalloc(60, GFP_KERNEL); OPTIMIZER_HIDE_VAR(p); memset(p, 0x41, 72); kfree(p); splat_sink++; }
static noinline void splat_poison(void) { char *p = kmalloc(60, GFP_KERNEL); kfree(p); OPTIMIZER_HIDE_VAR(p); memset(p + 8, 0x41, 4); kmalloc(60, GFP_KERNEL); splat_sink++; }
static noinline void splat_double_free(void) { char *p = kmalloc(4000, GFP_KERNEL); kfree(p); OPTIMIZER_HIDE_VAR(p); kfree(p); splat_sink++; }
static noinline void splat_badpage(void) { struct page *p = alloc_page(GFP_KERNEL); p->mapping = (void *)0x10; __free_page(p); splat_sink++; }
#pragma GCC diagnostic ignored "-Winfinite-recursion"
static noinline int splat_deep(int n) { volatile char buf[512]; buf[n & 511] = n; return splat_deep(n + 1) + buf[(n * 7) & 511]; }
static noinline void splat_stack(void) { splat_sink += splat_deep(1); }
static noinline void splat_jump(void) { void (*volatile f)(void) = (void *)0x10; f(); splat_sink++; }
static noinline void splat_two(void) { WARN(1, "first\n"); WARN(1, "second\n"); splat_sink++; }
#ifdef __s390x__
static noinline void splat_ill(void) { asm volatile(".long 0x00000000"); splat_sink++; }
static noinline void splat_op(void) { asm volatile(".insn e,0xb9ff"); splat_sink++; }
static noinline void splat_spec(void) { unsigned long a[4] = {}; asm volatile("lctlg 15,15,0(%0)" : : "a" ((char *)a + 1) : "memory"); splat_sink++; }
static noinline void splat_addr(void) { unsigned long v; asm volatile("lurag %0,%1" : "=d" (v) : "a" (1UL << 45)); splat_sink += v; }
static noinline void splat_data(void) { asm volatile("cp 0(1,%0),0(1,%0)" :: "a" (&splat_sink) : "memory","cc"); splat_sink++; }
static noinline void splat_fixdiv(void) { asm volatile("lghi 2,1; lghi 3,0; lghi 4,0; dlgr 2,4" ::: "2","3","4"); splat_sink++; }
#else
static noinline void splat_ill(void) { asm volatile("ud2"); splat_sink++; }
static noinline void splat_gp(void) { splat_sink = *(volatile int *)0x4141414141414141UL; }
static noinline void splat_div(void) { asm volatile("xor %%ecx,%%ecx; xor %%edx,%%edx; mov $1,%%eax; div %%ecx" ::: "eax","ecx","edx"); splat_sink++; }
static noinline void splat_nx(void) { static char code[16] = "\xc3"; void (*volatile f)(void) = (void *)code; f(); splat_sink++; }
#endif
/* For a kernel with lockdep, which tells once a boot. */
static DEFINE_SPINLOCK(splat_a);
static DEFINE_SPINLOCK(splat_b);
static DEFINE_MUTEX(splat_mutex);
static noinline void splat_ab(void) { spin_lock(&splat_a); spin_lock(&splat_b); spin_unlock(&splat_b); spin_unlock(&splat_a); }
static noinline void splat_ba(void) { spin_lock(&splat_b); spin_lock(&splat_a); spin_unlock(&splat_a); spin_unlock(&splat_b); }
static noinline void splat_circular(void) { splat_ab(); splat_ba(); splat_sink++; }
static noinline void splat_recursive(void) { static spinlock_t two[2]; int i; for (i = 0; i < 2; i++) spin_lock_init(&two[i]); spin_lock(&two[0]); spin_lock(&two[1]); splat_sink++; spin_unlock(&two[1]); spin_unlock(&two[0]); }
static noinline void splat_in_irq(void *x) { spin_lock(&splat_a); splat_sink++; spin_unlock(&splat_a); }
static noinline void splat_inconsistent(void) { splat_in_irq(NULL); on_each_cpu(splat_in_irq, NULL, 1); splat_sink++; }
static noinline void splat_irqorder(void) { on_each_cpu(splat_in_irq, NULL, 1); spin_lock(&splat_b); spin_unlock(&splat_b); local_irq_disable(); splat_ab(); local_irq_enable(); splat_sink++; }
static noinline void splat_rcu(void) { static int __rcu *p; splat_sink += !rcu_dereference(p); splat_sink++; }
static noinline void splat_unbalanced(void) { spin_unlock(&splat_a); splat_sink++; }
static noinline void splat_heldfree(void) { struct mutex *m = kmalloc(sizeof(*m), GFP_KERNEL); mutex_init(m); mutex_lock(m); kfree(m); splat_sink++; }
static noinline void splat_leftheld(void) { mutex_lock(&splat_mutex); splat_sink++; }
static noinline void splat_sleep(void) { spin_lock(&splat_a); might_sleep(); spin_unlock(&splat_a); splat_sink++; }
static noinline void splat_nonstatic(void) { spinlock_t on_stack; memset(&on_stack, 0, sizeof(on_stack)); spin_lock(&on_stack); splat_sink++; spin_unlock(&on_stack); }
/* Both wait for ever; the CPU that spins no longer takes interrupts. */
static noinline void splat_deadlock(void) { mutex_lock(&splat_mutex); mutex_lock(&splat_mutex); splat_sink++; }
static noinline void splat_hard(void) { local_irq_disable(); for (;;) splat_sink++; }
/* For a kernel with KASAN. */
static noinline void splat_oob(void) { char *p = kmalloc(60, GFP_KERNEL); OPTIMIZER_HIDE_VAR(p); p[64] = 'A'; kfree(p); splat_sink++; }
static noinline void splat_oob_read(void) { char *p = kmalloc(60, GFP_KERNEL); OPTIMIZER_HIDE_VAR(p); splat_sink += *(volatile char *)(p + 70); kfree(p); splat_sink++; }
static noinline void splat_uaf(void) { char *p = kmalloc(60, GFP_KERNEL); kfree(p); OPTIMIZER_HIDE_VAR(p); p[8] = 'A'; splat_sink++; }
static noinline void splat_invalid_free(void) { char *p = kmalloc(60, GFP_KERNEL); OPTIMIZER_HIDE_VAR(p); kfree(p + 8); splat_sink++; }
static noinline void splat_stack_oob(void) { volatile char buf[10]; volatile int at = 12; buf[0] = 1; splat_sink += buf[at]; splat_sink++; }
static noinline void splat_global_oob(void) { static volatile char buf[10]; volatile int at = 12; splat_sink += buf[at]; splat_sink++; }
static noinline void splat_vmalloc_oob(void) { char *p = vmalloc(100); OPTIMIZER_HIDE_VAR(p); splat_sink += *(volatile char *)(p + 4096 - 8); vfree(p); splat_sink++; }
static noinline void splat_user_read(void) { splat_sink = *(volatile int *)0x10000UL; }
#define T(n) if (!strcmp(what, #n)) splat_##n();
static int thread_fn(void *x) { splat_warn_text(); return 0; }
static int __init splat_init(void)
{
	T(warn) T(warn_text) T(warn_once) T(bug) T(null) T(null_read) T(wild) T(wild_memset) T(panic) T(list) T(refcount) T(alloc) T(hung) T(spin) T(stall) T(irqoff)
	T(atomic) T(kfence) T(kfence_oob) T(redzone) T(poison) T(double_free) T(badpage) T(stack) T(jump) T(two) T(ill) T(user_read)
	T(circular) T(recursive) T(inconsistent) T(irqorder) T(rcu) T(unbalanced) T(heldfree) T(leftheld) T(sleep) T(nonstatic) T(deadlock) T(hard)
	T(oob) T(oob_read) T(uaf) T(invalid_free) T(stack_oob) T(global_oob) T(vmalloc_oob)
#ifdef __s390x__
	T(op) T(spec) T(addr) T(data) T(fixdiv)
#else
	T(gp) T(div) T(nx)
#endif
	if (!strcmp(what, "threads")) { kthread_run(thread_fn, NULL, "splat-a"); kthread_run(thread_fn, NULL, "splat-b"); msleep(500); }
	return 0;
}
static void __exit splat_exit(void) { rcu_barrier(); }
module_init(splat_init);
module_exit(splat_exit);
MODULE_LICENSE("GPL");
