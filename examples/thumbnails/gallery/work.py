from joblot.worker import work


@work("shrink")  # joblot_worker finds it in this module of each installed app
def shrink(photo):
    return {"width": photo["width"] // 8}
